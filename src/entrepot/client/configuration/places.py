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
    registries_conf: Path
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
        users = config / "containers" / "registries.conf"
        named = environment.get("CONTAINERS_REGISTRIES_CONF")
        machines = etc / "containers" / "registries.conf"
        return cls(
            own=(config / "entrepot" / "client.toml", etc / "entrepot" / "client.toml"),
            registries_conf=Path(named) if named else users if users.exists() else machines,
            registries_conf_folders=()
            if named
            else tuple(path.with_name("registries.conf.d") for path in (machines, users)),
            certificate_folders=(
                config / "containers" / "certs.d",
                etc / "containers" / "certs.d",
                etc / "docker" / "certs.d",
            ),
            host_folders=(config / "containerd" / "certs.d", etc / "containerd" / "certs.d"),
            docker_config=Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json",
        )
