"""docker reads the logins that ours writes, and ours those that docker writes."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from clients.engine import Docker
from clients.image import Layout
from clients.logins import REFUSED
from entrepot.cli.exit_codes import ExitCode
from harness.registry import ADMIN, LiveRegistry


def run(docker: Docker, folder: Path, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """A command of ours, by somebody whose docker keeps its logins in a folder."""
    homes = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), "DOCKER_CONFIG": str(docker.config)}
    command: list[str | Path] = [Path(sys.executable).parent / "entrepot", *arguments]
    environment = {**os.environ, **homes, "XDG_STATE_HOME": str(folder / "state")}
    return subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


def test_docker_login_is_enough(
    docker: Docker, private_registry: LiveRegistry, small_image: Layout, tmp_path: Path
) -> None:
    """After `docker login` ours pushes, and says who one is and which file says so."""
    name = f"{private_registry.address}/logins/docker-{secrets.token_hex(4)}:1"
    push = ("push", "--progress", "none", f"oci:{small_image.path}", name)
    assert run(docker, tmp_path, *push).returncode == ExitCode.LOGIN

    docker.log_in(private_registry)
    pushed = run(docker, tmp_path, *push)
    told = run(docker, tmp_path, "whoami", private_registry.address)
    docker("logout", private_registry.address)

    assert pushed.returncode == ExitCode.OK, pushed.stderr
    assert ADMIN in told.stdout
    assert str(docker.config / "config.json") in told.stdout
    assert "anonymous" in run(docker, tmp_path, "whoami", private_registry.address).stdout


def test_our_login_is_enough(
    docker: Docker, private_registry: LiveRegistry, small_image: Layout, tmp_path: Path
) -> None:
    """After `entrepot login` docker pushes, also when what is kept is an identity token; after `logout` it does not."""
    name = f"{private_registry.address}/logins/ours-{secrets.token_hex(4)}:1"
    login = ("login", private_registry.address, "--username", ADMIN, "--password-stdin", "--allow-plaintext")
    docker("info")  # which begins the file in which it keeps logins

    done = run(docker, tmp_path, *login, stdin=private_registry.admin_password)
    pushed = docker.push(small_image, name)
    forgotten = run(docker, tmp_path, "logout", private_registry.address)

    assert done.returncode == ExitCode.OK, done.stderr
    assert pushed.config == small_image.config()
    assert forgotten.returncode == ExitCode.OK
    assert REFUSED.search(docker.push_in_vain(small_image, name))
