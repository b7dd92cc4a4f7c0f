"""``hosts.toml`` of containerd: servers that are asked for what a registry has (containerd, docs/hosts.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from entrepot.client.configuration.toml_files import Table, read_toml
from entrepot.client.errors import ReferenceInvalid, printable
from entrepot.client.origins import TLSSettings
from entrepot.client.references import DOCKER_HUB, HUB_NAMES, parse_registry
from entrepot.secrets import Secret

FILE: Final = "hosts.toml"
_CAPABILITIES: Final = frozenset({"pull", "resolve", "push"})
_HOSTS_AT_MOST: Final = 100
_API: Final = re.compile(r"(?P<before>.*?)/v2(?:/(?P<after>.+))?")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that such a file names."""

    scheme: str
    host: str
    port: int
    path: str
    """What stands before ``/v2``, or in its place."""
    has_api_path: bool
    """Whether ``path`` is in place of ``/v2``."""
    prefix: str
    """What stands before the repository's name, with a slash at its end."""
    capabilities: frozenset[str]
    tls: TLSSettings
    headers: tuple[tuple[str, Secret], ...]

    @property
    def registry(self) -> str:
        """``host[:port]`` as references would name it."""
        usual = {"https": 443, "http": 80}[self.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"

    def is_of(self, registry: str) -> bool:
        """Whether it is the server of a registry."""
        named = self.registry
        has_port = f"{named}:{self.port}" == registry
        return named == registry or has_port or (registry == DOCKER_HUB and named in HUB_NAMES)


@dataclass(frozen=True, slots=True)
class Hosts:
    """What a file says."""

    found_in: Path
    server: Server | None
    """The registry itself, None where the file does not say."""
    mirrors: tuple[Server, ...]
    """In the order of the file."""


def find_hosts(folders: Sequence[Path], registry: str) -> Hosts | None:
    """The file for ``host[:port]``, else the one for all; None if there is neither. Raises ConfigurationInvalid."""
    host, colon, port = registry.rpartition(":")
    names = [f"{host}_{port}_"] if colon and port.isdecimal() else []
    for folder in folders:
        for name in (*names, registry, "_default"):
            path = folder / name / FILE
            document = read_toml(path)
            if document is not None:
                return _read(path, document, registry)
    return None


def _read(path: Path, document: Any, registry: str) -> Hosts:
    table = Table(path, document)
    servers = table.table("host")
    if len(servers.values) > _HOSTS_AT_MOST:
        raise servers.wrong("", f"at most {_HOSTS_AT_MOST} of them")
    url = table.text("server")
    server = _server(table, url) if url else None
    others = [_server(servers.table(address), address) for address in servers.values]
    itself = next((one for one in others if one.is_of(registry)), None)
    if itself is not None and (server is None or server.is_of(registry)):
        # Who describes the registry among its hosts describes the registry.
        others.remove(itself)
        authorities = (*itself.tls.authorities, *(server.tls.authorities if server is not None else ()))
        server = replace(itself, tls=replace(itself.tls, authorities=authorities))
    return Hosts(path, server, tuple(others))


def _server(table: Table, url: str) -> Server:
    wrong = table.wrong("", f"{printable(url)!r} is no address such as https://mirror.example.com")
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        parse_registry(parts.netloc)
    except (ValueError, ReferenceInvalid):
        raise wrong from None
    host, port = parts.hostname, parts.port
    if parts.scheme not in {"http", "https"} or not host:
        raise wrong
    capabilities = table.texts("capabilities")
    if not _CAPABILITIES.issuperset(capabilities):
        raise table.wrong("capabilities", "pull, resolve and push are known")
    path, prefix, has_api_path = _api(table, parts.path.rstrip("/"))
    certificate, key = _client(table)
    return Server(
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        path=path,
        has_api_path=has_api_path,
        prefix=prefix,
        capabilities=frozenset(capabilities) or _CAPABILITIES,
        tls=TLSSettings(tuple(table.files("ca")), certificate, key, verify=not table.flag("skip_verify")),
        headers=_headers(table.table("header")),
    )


def _api(table: Table, path: str) -> tuple[str, str, bool]:
    """What stands before ``/v2`` and after it, and whether it stands in its place.

    With ``override_path`` the path is whole: it has ``/v2`` in it, or the server does without.
    """
    if not table.flag("override_path"):
        return path.removesuffix("/v2"), "", False
    match = _API.fullmatch(path)
    if match is None:
        return path, "", True
    return match["before"], f"{match['after']}/" if match["after"] else "", False


def _client(table: Table) -> tuple[Path | None, Path | None]:
    """The first certificate, and its key: a file with both, a list of such, or a list of pairs."""
    found = table.values.get("client")
    if isinstance(found, list) and found and isinstance(found[0], list):
        pair = found[0]
        if len(pair) not in {1, 2} or not all(isinstance(text, str) for text in pair) or not pair[0]:
            raise table.wrong("client", "pairs of certificate and key are wanted")
        files = [table.path.parent / text for text in pair if text]
        return files[0], files[1] if len(files) > 1 else None
    files = table.files("client")
    return (files[0], None) if files else (None, None)


def _headers(table: Table) -> tuple[tuple[str, Secret], ...]:
    names = sorted(table.values)
    return tuple((name, Secret(", ".join(table.texts(name)))) for name in names)
