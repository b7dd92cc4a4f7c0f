"""This client's own client.toml."""

from pathlib import Path

import pytest

from entrepot.client.configuration.client_toml import read_client_toml
from entrepot.client.errors import ConfigurationInvalid


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("[registry.host]\n", "registry"),
        ("[registries.host]\ninsecure = true\n", "registries.host.insecure"),
        ('[registries.host]\nverify = "no"\n', "registries.host.verify"),
        ("[registries]\nhost = 1\n", "registries.host"),
        ("[[registries.host.mirrors]]\ntags = true\n", "registries.host.mirrors[0].location"),
        ('[[registries.host.mirrors]]\nlocation = "m"\nca = "x"\n', "registries.host.mirrors[0].ca"),
    ],
)
def test_file_and_key_are_named(tmp_path: Path, content: str, key: str) -> None:
    """A key that is not known is refused: a typing mistake must not leave somebody less safe than they think."""
    file = tmp_path / "client.toml"
    file.write_text(content)
    with pytest.raises(ConfigurationInvalid) as raised:
        read_client_toml(file)
    assert raised.value.subject == f"{file}: {key}"


def test_what_is_not_said(tmp_path: Path) -> None:
    """Is known as such: no proxy is something else than none said, and so is verification."""
    file = tmp_path / "client.toml"
    file.write_text('[registries."a"]\n[registries."b"]\nproxy = ""\nverify = true\n')
    found = read_client_toml(file)
    assert (found["a"].proxy, found["a"].is_verified) == (None, None)
    assert (found["b"].proxy, found["b"].is_verified) == ("", True)


def test_a_file_without_end(tmp_path: Path) -> None:
    """Is refused."""
    file = tmp_path / "client.toml"
    file.write_text("#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationInvalid) as raised:
        read_client_toml(file)
    assert raised.value.reason == "too-long"
