"""What a server says when it is ready: where it is, and the lines to type to log in."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # ruff: ignore[hardcoded-bind-all-interfaces]  no address to connect to


def banner(
    url: str, operations_url: str | None, *, public_url: str | None, password_file: Path | None, data: Path
) -> str:
    """The lines for a server that listens at ``url``; ``password_file`` holds the admin's password."""
    parts = urlsplit(public_url or _reachable(url))
    lines = [f"entrepot is listening on {url}"]
    if public_url is not None:
        lines.append(f"  clients know it as {public_url}")
    if operations_url is not None:
        lines.append(f"  health and metrics answer on {operations_url}")
    lines.append(f"  data lies in {data}")
    source = ""
    if password_file is not None:
        lines.append(f"  the password of the user admin lies in {password_file}")
        source = f" --password-stdin < {shlex.quote(str(password_file))}"
    lines += [
        "log in with",
        f"  docker login {parts.netloc} -u admin{source}",
        f"  podman login {'--tls-verify=false ' if parts.scheme == 'http' else ''}{parts.netloc} -u admin{source}",
    ]
    return "\n".join(lines)


def _reachable(url: str) -> str:
    """The address for a client on this machine, where the server listens on all of its addresses."""
    parts = urlsplit(url)
    host = _ANY_HOST.get(parts.hostname or "")
    return url if host is None else parts._replace(netloc=f"{host}:{parts.port}").geturl()
