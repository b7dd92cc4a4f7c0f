"""``client.toml``, this client's own: what is different for some registries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from entrepot.client.configuration.toml_files import Table, read_toml
from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.origins import TLSSettings

_KEYS: Final = frozenset({"plain_http", "ca", "certificate", "key", "verify", "address", "proxy", "mirrors", "blocked"})
_MIRROR_KEYS: Final = frozenset({"location", "tags", "digests", "plain_http"})


@dataclass(frozen=True, slots=True)
class OwnMirror:
    """A place that is asked before the registry."""

    location: str
    """``host[:port]`` or ``host[:port]/name``, before the repository's name."""
    tags: bool
    digests: bool
    is_plain_http: bool


@dataclass(frozen=True, slots=True)
class OwnRegistry:
    """What the file says of one registry."""

    tls: TLSSettings
    is_verified: bool | None
    """None where it does not say."""
    is_plain_http: bool
    is_blocked: bool
    address: str | None
    proxy: str | None
    """"" for none, None where it does not say."""
    mirrors: tuple[OwnMirror, ...]
    found_in: Path


def read_client_toml(path: Path) -> dict[str, OwnRegistry]:
    """The registries of a file by ``host[:port]``; nothing for a file that is not there.

    Raises ConfigurationInvalid with file and key, also for a key that is not known.
    """
    document = read_toml(path)
    if document is None:
        return {}
    whole = Table(path, document)
    _check(whole, frozenset({"registries"}))
    registries = whole.table("registries")
    return {host: _registry(registries.table(host)) for host in registries.values}


def _registry(table: Table) -> OwnRegistry:
    _check(table, _KEYS)
    certificates, keys = table.files("certificate"), table.files("key")
    return OwnRegistry(
        tls=TLSSettings(
            tuple(table.files("ca")),
            certificates[0] if certificates else None,
            keys[0] if keys else None,
        ),
        is_verified=table.said("verify"),
        is_plain_http=table.flag("plain_http"),
        is_blocked=table.flag("blocked"),
        address=table.text("address") or None,
        proxy=table.text("proxy") if "proxy" in table.values else None,
        mirrors=tuple(_mirror(mirror) for mirror in table.tables("mirrors")),
        found_in=table.path,
    )


def _mirror(table: Table) -> OwnMirror:
    _check(table, _MIRROR_KEYS)
    if not table.text("location"):
        raise table.wrong("location", "a mirror has a location")
    return OwnMirror(
        table.text("location").rstrip("/"),
        table.flag("tags"),
        table.flag("digests", default=True),
        table.flag("plain_http"),
    )


def _check(table: Table, known: frozenset[str]) -> None:
    unknown: Any = sorted(set(table.values) - known)
    if unknown:
        error = table.wrong(unknown[0], f"known are: {', '.join(sorted(known))}")
        raise ConfigurationInvalid(error.subject, reason="unknown-key", cause=error.cause)
