"""Where the files are that say something about registries."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class ConfigurationPlaces:
    """Files and folders in the order in which they are looked at."""

    own: tuple[Path, ...]
    """``client.toml``, the user's before the machine's; the first that names a registry counts."""
    registries_conf: tuple[Path, ...]
    """The first that is there stands in place of the others."""
    registries_conf_folders: tuple[Path, ...]
    """Folders whose ``*.conf`` are added to it, the machine's before the user's."""
    certificate_folders: tuple[Path, ...]
    """The ``certs.d`` of podman and of docker."""
    host_folders: tuple[Path, ...]
    """The ``certs.d`` of containerd."""
    docker_config: Path

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ, etc: Path = Path("/etc")) -> Self:
        """The places of a user on a machine whose configuration is in ``etc``.

        As containers-registries.conf(5), containers-certs.d(5) and containerd's hosts.md have them.
        """
        home = Path(environment.get("HOME") or Path.home())
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        # Some versions of podman go by XDG_CONFIG_HOME, others do not.
        users = tuple(dict.fromkeys((config, home / ".config")))
        named = environment.get("CONTAINERS_REGISTRIES_CONF")
        podman = (*(folder / "containers" for folder in users), etc / "containers")
        return cls(
            own=(config / "entrepot" / "client.toml", etc / "entrepot" / "client.toml"),
            registries_conf=(Path(named),) if named else tuple(folder / "registries.conf" for folder in podman),
            registries_conf_folders=() if named else tuple(folder / "registries.conf.d" for folder in podman[::-1]),
            certificate_folders=(*(folder / "certs.d" for folder in podman), etc / "docker" / "certs.d"),
            host_folders=tuple(folder / "containerd" / "certs.d" for folder in (*users, etc)),
            docker_config=Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json",
        )
