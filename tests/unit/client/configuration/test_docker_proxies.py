"""Proxies in docker's config.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrepot.client.configuration.docker_proxies import DockerProxies, read_proxies
from entrepot.client.errors import ConfigurationInvalid

PROXY = "http://proxy.example:3128"


def proxies(folder: Path, entries: Any) -> DockerProxies:
    """What a file says."""
    (folder / "config.json").write_text(json.dumps({"auths": {}, "proxies": entries}))
    return read_proxies(folder / "config.json")


def test_one_host_before_all(tmp_path: Path) -> None:
    """The entry of a host counts, with its port or without; else the one for every host."""
    entries = {"default": {"httpsProxy": PROXY}, "https://one.example": {"httpsProxy": "http://one.example:1"}}
    entries["two.example:5000"] = {"allProxy": "http://two.example:2"}
    found = proxies(tmp_path, entries)
    file = tmp_path / "config.json"
    assert found.find("other.example:443", "https") == (PROXY, f"{file}, proxies.default")
    assert found.find("one.example:443", "https") == ("http://one.example:1", f"{file}, proxies.one.example")
    assert found.find("two.example:5000", "http") == ("http://two.example:2", f"{file}, proxies.two.example:5000")
    assert found.find("other.example:80", "http") is None


@pytest.mark.parametrize("host", ["near.example:443", "in.near.example:443"])
def test_hosts_without_a_proxy(tmp_path: Path, host: str) -> None:
    """Are reached directly, and that is said, so that nothing later is asked."""
    found = proxies(tmp_path, {"default": {"httpsProxy": PROXY, "noProxy": "near.example"}})
    assert found.find(host, "https") == ("", f"{tmp_path / 'config.json'}, proxies.default")


def test_no_file(tmp_path: Path) -> None:
    """Says nothing; an empty one neither."""
    assert read_proxies(tmp_path / "none").find("a.example:443", "https") is None
    (tmp_path / "config.json").write_text("")
    assert read_proxies(tmp_path / "config.json").find("a.example:443", "https") is None


@pytest.mark.parametrize(
    ("entries", "key"),
    [
        ([], "proxies"),
        ({"default": 1}, "proxies.default"),
        ({"default": {"httpProxy": 1}}, "proxies.default.httpProxy"),
    ],
)
def test_file_and_key_are_named(tmp_path: Path, entries: Any, key: str) -> None:
    """What cannot be used is told by the file and the key in it."""
    with pytest.raises(ConfigurationInvalid) as raised:
        proxies(tmp_path, entries)
    assert raised.value.subject == f"{tmp_path / 'config.json'}: {key}"
