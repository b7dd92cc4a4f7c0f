"""``registries.conf`` of podman, buildah and skopeo, version 2 (containers-registries.conf(5))."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from entrepot.client.configuration.certificate_folders import files_in
from entrepot.client.configuration.toml_files import Table, read_toml
from entrepot.client.errors import ConfigurationInvalid

_FILES_AT_MOST: Final = 1000
ENTRIES_AT_MOST: Final = 10_000
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
        """The whole name by which it is pulled; a wildcard without a location renames nothing."""
        rest = self.rest_of(name)
        return name if rest is None or not self.location else f"{self.location}{rest}"


def read_registries(files: Sequence[Path], folders: Sequence[Path]) -> list[NamedRegistry]:
    """The entries of the first file that there is, and of the ``*.conf`` in folders; the last for a prefix counts.

    Raises ConfigurationInvalid with file and key.
    """
    found: dict[str, NamedRegistry] = {}
    for path in files:
        document = read_toml(path)
        if document is not None:
            found |= {one.prefix: one for one in _read(path, document)}
            break
    for path in (folder / name for folder in folders for name in files_in(folder, ".conf") or ()):
        found |= {one.prefix: one for one in _read(path, read_toml(path) or {})}
        if len(found) > ENTRIES_AT_MOST:
            cause = f"it is one of files with more than {ENTRIES_AT_MOST} registries"
            raise ConfigurationInvalid(str(path), reason="too-many", cause=cause, at_most=ENTRIES_AT_MOST)
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
