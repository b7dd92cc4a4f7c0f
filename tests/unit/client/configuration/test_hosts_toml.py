"""containerd's hosts.toml."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.configuration.hosts_toml import Hosts, find_hosts
from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.references import parse_registry

REGISTRY = "registry.example:5000"


def hosts(folder: Path, content: str, name: str = REGISTRY, asked: str = REGISTRY) -> Hosts:
    """What a file says."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "hosts.toml").write_text(content)
    found = find_hosts([folder], asked)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["registry.example_5000_", REGISTRY, "_default"])
def test_the_names_of_folders(tmp_path: Path, name: str) -> None:
    """The port with underscores, with a colon, or a file for all registries; in this order."""
    found = hosts(tmp_path, 'server = "https://near.example"\n', name)
    assert found.found_in == tmp_path / name / "hosts.toml"
    assert found.server is not None
    assert (found.server.host, found.server.port) == ("near.example", 443)
    better = hosts(tmp_path, "", "registry.example_5000_")
    assert better.found_in.parent.name == "registry.example_5000_"


def test_hosts_in_order(tmp_path: Path) -> None:
    """As in the file, each with what it may; everything where that is not said."""
    content = (
        '[host."https://b.example"]\ncapabilities = ["pull"]\n'
        '[host."http://a.example"]\n[host."c.example:5000"]\nskip_verify = true\n'
    )
    found = hosts(tmp_path, content)
    assert [one.registry for one in found.mirrors] == ["b.example", "a.example", "c.example:5000"]
    assert [one.scheme for one in found.mirrors] == ["https", "http", "https"]
    assert found.mirrors[0].capabilities == {"pull"}
    assert found.mirrors[1].capabilities == {"pull", "resolve", "push"}
    assert [one.tls.verify for one in found.mirrors] == [True, True, False]


@pytest.mark.parametrize(
    ("url", "is_whole", "expected"),
    [
        ("https://m.example", False, ("", "", False)),
        ("https://m.example/before", False, ("/before", "", False)),
        ("https://m.example/before/v2", False, ("/before", "", False)),
        ("https://m.example/v2/hub", True, ("", "hub/", False)),
        ("https://m.example/before/v2", True, ("/before", "", False)),
        ("https://m.example/registry/api", True, ("/registry/api", "", True)),
    ],
)
def test_where_the_api_begins(tmp_path: Path, url: str, is_whole: bool, expected: tuple[str, str, bool]) -> None:
    """Beneath the address at /v2, or with override_path where the address says."""
    found = hosts(tmp_path, f'[host."{url}"]\noverride_path = {str(is_whole).lower()}\n')
    (mirror,) = found.mirrors
    assert (mirror.path, mirror.prefix, mirror.has_api_path) == expected


@pytest.mark.parametrize(
    ("client", "files"),
    [
        ('"both.pem"', ("both.pem", None)),
        ('["both.pem", "other.pem"]', ("both.pem", None)),
        ('[["a.cert", "a.key"], ["b.cert", "b.key"]]', ("a.cert", "a.key")),
        ('[["/etc/x/both.pem", ""]]', ("/etc/x/both.pem", None)),
    ],
)
def test_forms_of_client_certificates(tmp_path: Path, client: str, files: tuple[str, str | None]) -> None:
    """A file, files, or pairs; from where the file lies."""
    (mirror,) = hosts(tmp_path, f'[host."https://m.example"]\nclient = {client}\n').mirrors
    folder = tmp_path / REGISTRY
    assert mirror.tls.certificate == folder / files[0]
    assert mirror.tls.key == (None if files[1] is None else folder / files[1])


def test_the_registry_among_its_hosts(tmp_path: Path) -> None:
    """Is no mirror of itself: what is said there is said of the registry."""
    content = (
        f'server = "https://{REGISTRY}"\nca = "one.pem"\n[host."https://{REGISTRY}"]\nca = ["two.pem"]\n'
        '[host."https://m.example"]\n'
    )
    found = hosts(tmp_path, content)
    assert [one.registry for one in found.mirrors] == ["m.example"]
    assert found.server is not None
    assert [file.name for file in found.server.tls.authorities] == ["two.pem", "one.pem"]


def test_values_of_headers_are_secrets(tmp_path: Path) -> None:
    """Several values of a name are one field; none is shown."""
    found = hosts(tmp_path, '[host."https://m.example".header]\nx-key = ["a key", "of two"]\n')
    ((name, value),) = found.mirrors[0].headers
    assert (name, value.reveal()) == ("x-key", "a key, of two")
    assert "a key" not in repr(found)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ('[host."ftp://m.example"]\n', "host.ftp://m.example"),
        ('[host."https://u:p@m.example"]\n', "host."),
        ('[host."https://m.example"]\ncapabilities = ["all"]\n', "host.https://m.example.capabilities"),
        ('[host."https://m.example"]\nca = 1\n', "host.https://m.example.ca"),
        ('[host."https://m.example"]\nclient = [[""]]\n', "host.https://m.example.client"),
        ('[host."https://m.example"]\nskip_verify = 1\n', "host.https://m.example.skip_verify"),
        ('server = "https://[::"\n', ""),
    ],
)
def test_file_and_key_are_named(tmp_path: Path, content: str, key: str) -> None:
    """What cannot be used is told by the file and the key in it."""
    with pytest.raises(ConfigurationInvalid) as raised:
        hosts(tmp_path, content)
    assert raised.value.subject.startswith(f"{tmp_path / REGISTRY / 'hosts.toml'}: {key}")


@given(st.text(max_size=40))
def test_any_address(tmp_path_factory: pytest.TempPathFactory, address: str) -> None:
    """Whatever stands as an address, it is one of HTTP or refused by name."""
    folder = tmp_path_factory.mktemp("hosts")
    text = "".join(f"\\U{ord(character):08X}" for character in address)
    with contextlib.suppress(ConfigurationInvalid):
        (mirror,) = hosts(folder, f'[host."{text}"]\n').mirrors
        assert mirror.scheme in {"http", "https"}
        assert parse_registry(mirror.registry)
