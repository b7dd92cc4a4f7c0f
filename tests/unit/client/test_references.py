"""References as people write them: which registry, repository, tag and digest are meant, and what is none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.errors import ReferenceInvalid
from entrepot.client.references import ImageReference, is_bare_registry, parse_registry
from entrepot.oci import Digest, Tag

DIGEST = "sha256:" + "a" * 64

HOSTS = st.sampled_from(
    ["registry.example.com", "registry.example.com:5000", "localhost", "localhost:5000", "127.0.0.1:80", "[::1]:5000"]
)
COMPONENTS = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,3}", fullmatch=True)
TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,40}", fullmatch=True)
ANYTHING = st.text(
    st.sampled_from(string.ascii_letters + string.digits + ":/@.-_[]%?# \x00\n\u00e9\u4e2d"), max_size=80
)


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("app", "docker.io", "library/app", None),
        ("app:1", "docker.io", "library/app", "1"),
        ("team/app:1", "docker.io", "team/app", "1"),
        ("docker.io/app", "docker.io", "library/app", None),
        ("index.docker.io/team/app", "docker.io", "team/app", None),
        ("localhost/app", "localhost", "app", None),
        ("host:5000/app", "host:5000", "app", None),
        ("Registry.Example.COM/team/app:V1", "registry.example.com", "team/app", "V1"),
        ("[2001:db8::1]:5000/app:1", "[2001:db8::1]:5000", "app", "1"),
    ],
)
def test_what_is_meant(text: str, registry: str, repository: str, tag: str | None) -> None:
    """A first part with a dot, a port, or ``localhost`` is a host; without a host Docker Hub is meant."""
    found = ImageReference.parse(text)
    assert (found.registry, found.repository.text) == (registry, repository)
    assert found.tag == (None if tag is None else Tag(tag))
    assert found.is_short is (text.split("/", maxsplit=1)[0] in {"app", "app:1", "team"})


@given(HOSTS, st.lists(COMPONENTS, min_size=1, max_size=4), st.none() | TAGS, st.booleans())
def test_what_is_written_is_read(host: str, path: list[str], tag: str | None, has_digest: bool) -> None:
    """Every part comes back, and the text of a reference is the reference again."""
    text = f"{host}/{'/'.join(path)}" + (f":{tag}" if tag else "") + (f"@{DIGEST}" if has_digest else "")
    found = ImageReference.parse(text)
    assert (found.registry, found.repository.text) == (host, "/".join(path))
    assert found.digest == (Digest.parse(DIGEST) if has_digest else None)
    assert found.reference == (found.digest or found.tag or Tag("latest"))
    assert ImageReference.parse(str(found)) == found


@given(ANYTHING)
def test_nothing_else_gets_through(text: str) -> None:
    """Any text is a reference whose parts are safe in a path, or it is refused."""
    try:
        found = ImageReference.parse(text)
    except ReferenceInvalid:
        return
    assert not set(f"{found.registry}{found.repository}") & set(" \x00\n?#%@")
    assert ".." not in found.repository.text.split("/")


@pytest.mark.parametrize(
    ("text", "part", "nearest"),
    [
        ("host:5000/Team/App:v1", "name", "host:5000/team/app:v1"),
        ("https://registry.example.com/team/app:v1", "scheme", "registry.example.com/team/app:v1"),
        ("registry.example.com/team/app:v 1", "tag", "registry.example.com/team/app:v-1"),
        ("registry.example.com/team/app@sha256:abc", "digest", ""),
        ("registry.example.com:99999/app", "registry", ""),
        ("", "name", ""),
    ],
)
def test_mistakes_name_the_part_and_the_nearest_form(text: str, part: str, nearest: str) -> None:
    """What is wrong, and what was probably meant."""
    with pytest.raises(ReferenceInvalid) as refused:
        ImageReference.parse(text)
    assert refused.value.reason == part
    assert refused.value.next_command.endswith(nearest)
    assert bool(refused.value.next_command) is bool(nearest)


def test_registries_alone() -> None:
    """Also out of a URL, as people paste them; an image's name is none."""
    assert parse_registry("https://Registry.example.com:5000/") == "registry.example.com:5000"
    assert parse_registry("index.docker.io") == "docker.io"
    assert is_bare_registry("localhost:5000")
    assert not is_bare_registry("app:1")
    assert not is_bare_registry("registry.example.com/app")
    with pytest.raises(ReferenceInvalid):
        parse_registry("registry.example.com/app")
