"""``registries.conf`` of podman, buildah and skopeo, version 2 (containers-registries.conf(5))."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from entrepot.client.configuration.toml_files import Table, read_toml

_FILES_AT_MOST: Final = 1000
_FROM_MIRROR: Final = {
    "": (True, True),
    "all": (True, True),
    "digest-only": (False, True),
    "tag-only": (True, False),
}


@dataclass(frozen=True, slots=True)
class NamedMirror:
    """A place that may have what a registry has."""

    location: str
    is_insecure: bool
    tags: bool
    digests: bool


@dataclass(frozen=True, slots=True)
class NamedRegistry:
    """What such a file says of all names that begin with ``prefix``."""

    prefix: str
    location: str
    """What stands in the prefix's place; "" for itself."""
    is_insecure: bool
    is_blocked: bool
    mirrors: tuple[NamedMirror, ...]
    found_in: Path

    def rest_of(self, name: str) -> str | None:
        """What of ``host[:port]/repository`` comes after the prefix; None for a name that it is not about."""
        if not self.prefix.startswith("*."):
            return _after(self.prefix, name)
        host = name.partition("/")[0]
        suffix, slash, path = self.prefix.removeprefix("*").partition("/")
        if not host.partition(":")[0].endswith(suffix) and not host.endswith(suffix):
            return None
        return _after(f"{host}{slash}{path}", name)

    def located(self, name: str) -> str:
        """The whole name by which it is asked for."""
        rest = self.rest_of(name)
        # A wildcard stands for many hosts: it renames none of them.
        return name if rest is None or not self.location or self.prefix.startswith("*.") else f"{self.location}{rest}"


def read_registries(file: Path, folders: Sequence[Path]) -> list[NamedRegistry]:
    """The entries of a file and of the ``*.conf`` in folders; of several for a prefix the last counts.

    Raises ConfigurationInvalid with file and key.
    """
    found: dict[str, NamedRegistry] = {}
    for path in (file, *(path for folder in folders for path in sorted(folder.glob("*.conf"))[:_FILES_AT_MOST])):
        document = read_toml(path)
        if document is not None:
            found |= {one.prefix: one for one in _read(path, document)}
    return list(found.values())


def find_registry(entries: Sequence[NamedRegistry], name: str) -> NamedRegistry | None:
    """The entry with the longest prefix for ``host[:port]/repository``, None for none."""
    fitting = [one for one in entries if one.rest_of(name) is not None]
    return max(fitting, key=lambda one: len(one.prefix), default=None)


def _read(path: Path, document: Any) -> list[NamedRegistry]:
    return [_registry(table) for table in Table(path, document).tables("registry")]


def _registry(table: Table) -> NamedRegistry:
    location = table.text("location").rstrip("/")
    prefix = table.text("prefix").rstrip("/") or location
    if not prefix:
        raise table.wrong("location", "a registry has a location or a prefix")
    by_digest = table.flag("mirror-by-digest-only")
    return NamedRegistry(
        prefix=prefix,
        location=location,
        is_insecure=table.flag("insecure"),
        is_blocked=table.flag("blocked"),
        mirrors=tuple(_mirror(mirror, is_by_digest=by_digest) for mirror in table.tables("mirror")),
        found_in=table.path,
    )


def _mirror(table: Table, *, is_by_digest: bool) -> NamedMirror:
    location = table.text("location").rstrip("/")
    if not location:
        raise table.wrong("location", "a mirror has a location")
    wanted = table.text("pull-from-mirror")
    if wanted not in _FROM_MIRROR:
        raise table.wrong("pull-from-mirror", "all, digest-only or tag-only is wanted")
    tags, digests = _FROM_MIRROR["digest-only" if is_by_digest else wanted]
    return NamedMirror(location, table.flag("insecure"), tags, digests)


def _after(prefix: str, name: str) -> str | None:
    """What follows a beginning that ends where a part of the name ends."""
    rest = name.removeprefix(prefix)
    if not name.startswith(prefix) or (rest and rest[0] != "/"):
        return None
    return rest
