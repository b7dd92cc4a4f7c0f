"""podman's registries.conf."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.configuration.registries_conf import NamedRegistry, find_registry, read_registries
from entrepot.client.errors import ConfigurationInvalid

LABEL = st.from_regex(r"[a-z]{1,4}", fullmatch=True)


def named(prefix: str, location: str = "") -> NamedRegistry:
    """An entry that says nothing else."""
    return NamedRegistry(prefix, location, is_insecure=False, is_blocked=False, mirrors=(), found_in=Path("file"))


@pytest.mark.parametrize(
    ("prefix", "location", "name", "located"),
    [
        ("example.com/foo", "inner.example.net/bar", "example.com/foo/app", "inner.example.net/bar/app"),
        ("example.com/foo", "inner.example.net/bar", "example.com/foo", "inner.example.net/bar"),
        ("example.com", "", "example.com/foo/app", "example.com/foo/app"),
        ("*.example.com", "", "a.b.example.com/app", "a.b.example.com/app"),
        ("*.example.com", "near.example.net/all", "a.b.example.com/app", "near.example.net/all/app"),
    ],
)
def test_where_a_name_leads(prefix: str, location: str, name: str, located: str) -> None:
    """The location stands in place of the prefix; a wildcard without one renames nothing."""
    assert named(prefix, location).located(name) == located


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("example.com/foo", "example.com/foobar"),
        ("example.com", "example.com.evil.net/app"),
        ("example.com", "example.com:5000/app"),
        ("*.example.com", "example.com/app"),
        ("*.example.com", "badexample.com/app"),
        ("*.example.com", "other.net/a.example.com/app"),
    ],
)
def test_what_a_prefix_is_not_about(prefix: str, name: str) -> None:
    """A prefix ends where a part of the name ends, and a wildcard stands in the host alone."""
    assert find_registry([named(prefix)], name) is None


@given(st.lists(LABEL, min_size=1, max_size=5), st.sets(st.integers(0, 5)))
def test_the_longest_prefix_wins(parts: list[str], lengths: set[int]) -> None:
    """Whatever the order in the file, it is the longest beginning of the name that counts."""
    pieces = ["registry.example", *parts]
    prefixes = {"/".join(pieces[: length + 1]) for length in lengths}
    found = find_registry([named(prefix) for prefix in sorted(prefixes)], "/".join(pieces))
    assert (found.prefix if found else "") == max(prefixes, key=len, default="")


def test_one_file_in_place_of_the_other(tmp_path: Path) -> None:
    """The user's replaces the machine's; the folders are added to either, the last entry for a prefix counting."""
    user, machine, missing = tmp_path / "user.conf", tmp_path / "machine.conf", tmp_path / "missing.conf"
    folders = [tmp_path / "machine.d", tmp_path / "user.d"]
    for folder in folders:
        folder.mkdir()
    user.write_text('[[registry]]\nlocation = "a.example"\n')
    machine.write_text('[[registry]]\nlocation = "b.example"\nblocked = true\n')
    (folders[0] / "1.conf").write_text('[[registry]]\nlocation = "c.example"\nblocked = true\n')
    (folders[0] / "2.conf").write_text('[[registry]]\nlocation = "c.example"\n')
    (folders[0] / "3.off").write_text('[[registry]]\nlocation = "d.example"\n')
    (folders[1] / "0.conf").write_text('[[registry]]\nlocation = "a.example"\nblocked = true\n')
    found = {one.prefix: one for one in read_registries([missing, user, machine], folders)}
    assert found.keys() == {"a.example", "c.example"}
    assert (found["a.example"].is_blocked, found["c.example"].is_blocked) == (True, False)


@pytest.mark.parametrize(
    ("key", "tags", "digests"),
    [("", True, True), ("all", True, True), ("digest-only", False, True), ("tag-only", True, False)],
)
def test_what_mirrors_are_asked(tmp_path: Path, key: str, tags: bool, digests: bool) -> None:
    """By the mirror's own word; where the registry says that digests alone are asked, by that."""
    file = tmp_path / "registries.conf"
    mirror = '[[registry.mirror]]\nlocation = "m.example"\n' + (f'pull-from-mirror = "{key}"\n' if key else "")
    file.write_text(f'[[registry]]\nlocation = "a.example"\n{mirror}')
    (found,) = read_registries([file], [])
    assert (found.mirrors[0].tags, found.mirrors[0].digests) == (tags, digests)
    file.write_text(f'[[registry]]\nlocation = "a.example"\nmirror-by-digest-only = true\n{mirror}')
    (found,) = read_registries([file], [])
    assert (found.mirrors[0].tags, found.mirrors[0].digests) == (False, True)


def test_keys_of_others_are_passed_over(tmp_path: Path) -> None:
    """Names without a registry, aliases and what later versions bring are of no concern here."""
    file = tmp_path / "registries.conf"
    file.write_text(
        'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "enforcing"\n'
        '[aliases]\n"app" = "docker.io/library/app"\n[[registry]]\nlocation = "a.example"\nnew = [1]\n'
    )
    assert [one.prefix for one in read_registries([file], [])] == ["a.example"]


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("[[registry]]\ninsecure = true\n", "registry[0].location"),
        ('[[registry]]\nlocation = "a"\ninsecure = "yes"\n', "registry[0].insecure"),
        ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\ninsecure = true\n', "registry[0].mirror[0].location"),
        (
            '[[registry]]\nlocation = "a"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "some"\n',
            "registry[0].mirror[0].pull-from-mirror",
        ),
        ("registry = 1\n", "registry"),
    ],
)
def test_file_and_key_are_named(tmp_path: Path, content: str, key: str) -> None:
    """What cannot be used is told by the file and the key in it."""
    file = tmp_path / "registries.conf"
    file.write_text(content)
    with pytest.raises(ConfigurationInvalid) as raised:
        read_registries([file], [])
    assert raised.value.subject == f"{file}: {key}"


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever is in the file, it is read or refused by name."""
    file = tmp_path_factory.mktemp("any") / "registries.conf"
    file.write_bytes(content)
    with contextlib.suppress(ConfigurationInvalid):
        assert all(one.found_in == file for one in read_registries([file], []))
