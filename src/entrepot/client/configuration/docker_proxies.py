"""Proxies out of docker's ``config.json`` (docker CLI, "Use a proxy server with the Docker CLI")."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from entrepot.client.errors import ConfigurationInvalid

BYTES_AT_MOST: Final = 4 * 1024 * 1024
ENTRIES_AT_MOST: Final = 1000
_DEFAULT: Final = "default"
_KEYS: Final = {"httpProxy": "http", "httpsProxy": "https", "allProxy": "all", "noProxy": "no"}


@dataclass(frozen=True, slots=True)
class DockerProxies:
    """What a file says: under ``default`` for every host, under ``host[:port]`` for one."""

    path: Path
    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Each by ``http``, ``https``, ``all``, and ``no`` for hosts without a proxy."""

    def find(self, authority: str, scheme: str) -> tuple[str, str] | None:
        """The proxy to ``host:port`` and the key that names it, "" for none at all; None where nothing is said.

        Raises ConfigurationInvalid for a proxy that is not of HTTP.
        """
        host = authority.rpartition(":")[0]
        key = next((key for key in (authority, host, _DEFAULT) if key in self.entries), None)
        if key is None:
            return None
        said = self.entries[key]
        proxy = said.get(scheme) or said.get("all")
        if not proxy and "no" not in said:
            return None
        excepted = urllib.request.proxy_bypass_environment(authority, dict(said))  # type: ignore[attr-defined]  # not in its stub
        place = f"{self.path}, proxies.{key}"
        if excepted:
            return "", place
        return (proxy, place) if proxy else None


def read_proxies(path: Path) -> DockerProxies:
    """The proxies of a file, none for one that is not there; raises ConfigurationInvalid with file and key."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_AT_MOST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return DockerProxies(path)
    except OSError as error:
        raise ConfigurationInvalid(str(path), reason="unreadable", evidence=[error.strerror or str(error)]) from error
    if len(content) > BYTES_AT_MOST:
        raise ConfigurationInvalid(str(path), reason="too-long", cause=f"it has more than {BYTES_AT_MOST} bytes")
    try:
        document = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ConfigurationInvalid(str(path), reason="json", cause="it is no JSON") from error
    proxies = _object(path, _object(path, document, "").get("proxies"), "proxies")
    return DockerProxies(path, {_host(key): _entry(path, value, key) for key, value in proxies.items()})


def _entry(path: Path, value: Any, key: str) -> dict[str, str]:
    said = _object(path, value, f"proxies.{key}")
    for name in _KEYS:
        if not isinstance(said.get(name) or "", str):
            raise _wrong(path, f"proxies.{key}.{name}", "a text is wanted")
    return {name: said[key] for key, name in _KEYS.items() if said.get(key)}


def _host(key: str) -> str:
    """A key as ``host[:port]``: docker writes its daemons with a scheme."""
    return (key.partition("://")[2] or key).rstrip("/").lower()


def _object(path: Path, value: Any, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > ENTRIES_AT_MOST:
        raise _wrong(path, key, f"a JSON object with at most {ENTRIES_AT_MOST} members is wanted")
    return value


def _wrong(path: Path, key: str, cause: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"{path}: {key}" if key else str(path), reason="value", cause=cause)
