"""Where docker, podman and their like keep logins (docker login; containers-auth.json(5))."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class AuthPlaces:
    """The files in the order in which they are asked, and the one that is written to."""

    read: tuple[Path, ...]
    written: Path
    text: str | None = None
    """What the variable ``DOCKER_AUTH_CONFIG`` holds; it is asked before every file."""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ, authfile: Path | None = None) -> Self:
        """The places of a user.

        ``authfile``, and ``REGISTRY_AUTH_FILE`` after it, stand in place of all files. Else it is docker's
        ``config.json`` in ``$DOCKER_CONFIG`` (``~/.docker``), which is written to, podman's ``auth.json`` in
        ``$XDG_RUNTIME_DIR/containers`` and ``$XDG_CONFIG_HOME/containers``, and ``~/.dockercfg``.
        """
        text = environment.get("DOCKER_AUTH_CONFIG") or None
        only = authfile or (Path(environment["REGISTRY_AUTH_FILE"]) if environment.get("REGISTRY_AUTH_FILE") else None)
        if only is not None:
            return cls((only,), only, text)
        home = Path(environment.get("HOME") or Path.home())
        docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
        runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}")
        if environment.get("XDG_RUNTIME_DIR"):
            runtime /= "containers"
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers"
        return cls((docker, runtime / "auth.json", config / "auth.json", home / ".dockercfg"), docker, text)
