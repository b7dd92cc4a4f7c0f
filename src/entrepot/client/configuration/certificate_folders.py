"""Certificates by registry, in folders named as the registry is (containers-certs.d(5); docker's certs.d)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.origins import TLSSettings

_FILES_AT_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class FoundCertificates:
    """What a folder has for a registry."""

    folder: Path
    tls: TLSSettings


def find_certificates(folders: Sequence[Path], registry: str) -> FoundCertificates | None:
    """The first folder that there is for ``host[:port]``, the port as it is written; None if there is none.

    ``*.crt`` are authorities, ``X.cert`` with ``X.key`` is shown to the registry. Raises ConfigurationInvalid for one
    of these two without the other.
    """
    for parent in folders:
        folder = parent / registry
        if folder.is_dir():
            return FoundCertificates(folder, _read(folder))
    return None


def _read(folder: Path) -> TLSSettings:
    try:
        names = sorted(path.name for path, _ in zip(folder.iterdir(), range(_FILES_AT_MOST), strict=False))
    except OSError as error:
        evidence = [error.strerror or str(error)]
        raise ConfigurationInvalid(str(folder), reason="unreadable", evidence=evidence) from error
    pairs = {name.rpartition(".")[0] for name in names if name.endswith((".cert", ".key"))}
    for stem in sorted(pairs):
        for suffix in (".cert", ".key"):
            if f"{stem}{suffix}" not in names:
                cause = "a certificate and its key belong together: X.cert and X.key"
                raise ConfigurationInvalid(str(folder / f"{stem}{suffix}"), reason="incomplete", cause=cause)
    first = min(pairs, default=None)
    return TLSSettings(
        authorities=tuple(folder / name for name in names if name.endswith(".crt")),
        certificate=None if first is None else folder / f"{first}.cert",
        key=None if first is None else folder / f"{first}.key",
    )
