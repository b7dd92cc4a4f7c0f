"""Where the daemons listen, as docker's and podman's own commands find it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from entrepot.client.errors import ConfigurationInvalid

_DOCKER_SOCKET = Path("/var/run/docker.sock")
_PODMAN_SOCKET = Path("/run/podman/podman.sock")


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """A daemon behind a socket of this machine, or at an address."""

    program: str
    """``docker`` or ``podman``."""
    socket: Path | None = None
    address: str | None = None
    """``host:port``, if there is no socket."""
    certificates: Path | None = None
    """A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``, for TLS at an address."""

    @property
    def label(self) -> str:
        """As messages name it."""
        return f"unix://{self.socket}" if self.socket is not None else f"tcp://{self.address}"

    @classmethod
    def docker(cls, environment: Mapping[str, str] = os.environ) -> "EnginePlace":
        """By ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``, else docker's own socket.

        Raises ConfigurationInvalid for a way that only docker's command knows.
        """
        host = environment.get("DOCKER_HOST")
        if not host:
            return cls("docker", socket=_DOCKER_SOCKET)
        folder = environment.get("DOCKER_CERT_PATH") or str(Path.home() / ".docker")
        certificates = Path(folder) if environment.get("DOCKER_TLS_VERIFY") else None
        return cls._at("docker", "DOCKER_HOST", host, certificates)

    @classmethod
    def podman(cls, environment: Mapping[str, str] = os.environ) -> "EnginePlace":
        """By ``CONTAINER_HOST``, else the user's own socket, else the system's; raises ConfigurationInvalid."""
        host = environment.get("CONTAINER_HOST")
        if host:
            return cls._at("podman", "CONTAINER_HOST", host, None)
        own = Path(environment.get("XDG_RUNTIME_DIR") or "/nowhere") / "podman" / "podman.sock"
        return cls("podman", socket=own if own.exists() else _PODMAN_SOCKET)

    @classmethod
    def _at(cls, program: str, variable: str, host: str, certificates: Path | None) -> "EnginePlace":
        parts = urlsplit(host)
        if parts.scheme == "unix" and parts.path:
            return cls(program, socket=Path(parts.path))
        if parts.scheme in {"tcp", "http", "https"} and parts.netloc and parts.username is None:
            return cls(program, address=parts.netloc, certificates=certificates)
        cause = f"{variable} says where {program} is; unix:// and tcp:// are known"
        raise ConfigurationInvalid(variable, reason="host", cause=cause, evidence=[f"{variable}={host}"])
