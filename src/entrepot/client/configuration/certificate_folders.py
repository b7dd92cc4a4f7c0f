"""Certificates by registry, in folders named as the registry is (containers-certs.d(5); docker's certs.d)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.origins import TLSSettings

FILES_AT_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class FoundCertificates:
    """What a folder has for a registry."""

    tls: TLSSettings
    found_in: tuple[str, ...]
    """Each file with what it is."""


def find_certificates(folders: Sequence[Path], registry: str) -> FoundCertificates | None:
    """The first folder that there is for ``host[:port]``, the port as it is written; None if there is none.

    ``*.crt`` are authorities, ``X.cert`` with ``X.key`` is shown to the registry, of several the first by name. Raises
    ConfigurationInvalid for one of these two without the other.
    """
    for parent in folders:
        folder = parent / registry
        names = files_in(folder)
        if names is not None:
            return _read(folder, names)
    return None


def files_in(folder: Path, suffix: str = "") -> list[str] | None:
    """The names in a folder that end so, in order, None where there is no folder; raises ConfigurationInvalid."""
    try:
        with os.scandir(folder) as entries:
            found = (entry.name for entry in entries if entry.name.endswith(suffix))
            names = list(islice(found, FILES_AT_MOST + 1))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        evidence = [error.strerror or str(error)]
        raise ConfigurationInvalid(str(folder), reason="unreadable", evidence=evidence) from error
    if len(names) > FILES_AT_MOST:
        cause = f"it has more than {FILES_AT_MOST} files"
        raise ConfigurationInvalid(str(folder), reason="too-many", cause=cause, at_most=FILES_AT_MOST)
    return sorted(names)


def _read(folder: Path, names: Sequence[str]) -> FoundCertificates:
    stems = sorted({name.rpartition(".")[0] for name in names if name.endswith((".cert", ".key"))})
    for stem in stems:
        for suffix in (".cert", ".key"):
            if f"{stem}{suffix}" not in names:
                cause = "a certificate and its key belong together, X.cert and X.key; authorities end in .crt"
                raise ConfigurationInvalid(str(folder / f"{stem}{suffix}"), reason="incomplete", cause=cause)
    authorities = tuple(folder / name for name in names if name.endswith(".crt"))
    found = [f"{file} (authority)" for file in authorities]
    if not stems:
        return FoundCertificates(TLSSettings(authorities), tuple(found))
    certificate, key = (folder / f"{stems[0]}{suffix}" for suffix in (".cert", ".key"))
    found.append(f"{certificate} (client certificate)")
    return FoundCertificates(TLSSettings(authorities, certificate, key), tuple(found))
