"""The client takes images out of the daemons of docker and podman, and puts them in."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.engine import Docker
from clients.image import Layout
from clients.podman import Podman
from clients.sandbox import Sandbox, running_daemon
from entrepot.cli.exit_codes import ExitCode
from harness.ports import wait_until
from harness.programs import find_program
from harness.registry import LiveRegistry

START_SECONDS_AT_MOST = 30


@dataclass(frozen=True)
class Daemon:
    """A daemon as the client and as its own command know it."""

    prefix: str
    environment: dict[str, str]
    load: Callable[[Layout], str]
    """Gives it an image; returns its name there."""
    tag: Callable[[str, str], object]
    config_of: Callable[[str], str]
    """The digest of an image's config."""
    forget: Callable[[str], object]


@pytest.fixture(scope="session")
def podman_socket(sandbox: Sandbox) -> Generator[Path, None, None]:
    """Podman's service."""
    folder = sandbox.folder / "podman-service"
    folder.mkdir()
    socket = folder / "p.sock"
    command: list[str | Path] = [find_program("podman"), "system", "service", "--time=0", f"unix://{socket}"]
    with running_daemon(sandbox, folder, *command):
        wait_until(socket.exists, "podman listens", seconds_at_most=START_SECONDS_AT_MOST)
        yield socket


@pytest.fixture(params=["docker", "podman"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Daemon:
    """Each of the daemons."""
    if request.param == "docker":
        docker = Docker(request.getfixturevalue("dockerd"), tmp_path / "docker-config")
        return Daemon(
            prefix="docker-daemon:",
            environment={"DOCKER_HOST": f"unix://{docker.socket}"},
            load=docker.load,
            tag=lambda image, name: docker("tag", image, name),
            config_of=lambda name: docker("image", "inspect", "--format", "{{.Id}}", name).strip(),
            forget=docker.forget,
        )
    podman = Podman(request.getfixturevalue("sandbox"), tmp_path / "podman")
    return Daemon(
        prefix="podman:",
        environment={"CONTAINER_HOST": f"unix://{request.getfixturevalue('podman_socket')}"},
        load=podman.load,
        tag=lambda image, name: podman("tag", image, name),
        config_of=lambda name: "sha256:" + podman("image", "inspect", "--format", "{{.Id}}", name).strip(),
        forget=lambda name: podman("rmi", "--force", name),
    )


def run(
    *arguments: str, environment: dict[str, str], folder: Path, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """A command of the client."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "CONTAINER_"))}
    homes = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "TMPDIR": str(folder)}
    command: list[str | Path] = [Path(sys.executable).parent / "entrepot", *arguments]
    return subprocess.run(
        command, env={**plain, **homes, **environment}, input=stdin, capture_output=True, timeout=120, check=False
    )


def test_out_and_in_again(daemon: Daemon, public_registry: LiveRegistry, small_image: Layout, tmp_path: Path) -> None:
    """The config keeps its digest all the way, which the command says; nothing is left in the temporary folder."""
    short = secrets.token_hex(4)
    local, again = f"localhost/out-{short}:1", f"localhost/in-{short}:1"
    remote = f"{public_registry.address}/daemons/{short}:1"
    login = {
        "ENTREPOT_CLIENT_USERNAME": "admin",
        "ENTREPOT_CLIENT_PASSWORD": public_registry.admin_password,
        **daemon.environment,
    }
    daemon.tag(daemon.load(small_image), local)

    pushed = run("push", f"{daemon.prefix}{local}", remote, "--output", "json", environment=login, folder=tmp_path)
    assert pushed.returncode == ExitCode.OK, pushed.stderr
    stored = {one["digest"] for one in json.loads(pushed.stdout)["stored"]}
    config = daemon.config_of(local)
    daemon.forget(local)
    pulled = run("pull", remote, f"{daemon.prefix}{again}", environment=daemon.environment, folder=tmp_path)
    assert pulled.returncode == ExitCode.OK, pulled.stderr

    assert config in stored
    assert daemon.config_of(again) == config == small_image.config()
    assert b"only the config's is the same there" in pulled.stderr
    assert not list(tmp_path.glob("entrepot-*"))
    daemon.forget(again)


def test_what_the_daemon_lacks(daemon: Daemon, public_registry: LiveRegistry, tmp_path: Path) -> None:
    """An image that is not there is named, with the daemon; a target needs a tag."""
    remote = f"{public_registry.address}/daemons/none:1"
    missing = run("push", f"{daemon.prefix}localhost/none:1", remote, environment=daemon.environment, folder=tmp_path)
    assert missing.returncode == ExitCode.NOT_FOUND, missing.stderr
    assert b"has no image of this name" in missing.stderr
    assert b"unix://" in missing.stderr
    untagged = run("pull", remote, f"{daemon.prefix}localhost/none", environment=daemon.environment, folder=tmp_path)
    assert untagged.returncode == ExitCode.USAGE
    assert b"needs a tag" in untagged.stderr


@pytest.mark.parametrize(("prefix", "variable"), [("docker-daemon:", "DOCKER_HOST"), ("podman:", "CONTAINER_HOST")])
def test_nobody_listens(prefix: str, variable: str, public_registry: LiveRegistry, tmp_path: Path) -> None:
    """The socket is named, with what starts the daemon; a way that is not known is a mistake of the variable."""
    remote = f"{public_registry.address}/daemons/none:1"
    where = {variable: f"unix://{tmp_path / 'nobody.sock'}"}
    nobody = run("push", f"{prefix}app:1", remote, environment=where, folder=tmp_path)
    assert nobody.returncode == ExitCode.NETWORK, nobody.stderr
    assert b"nobody.sock" in nobody.stderr
    assert variable.encode() in nobody.stderr
    odd = run("push", f"{prefix}app:1", remote, environment={variable: "ssh://ann@host"}, folder=tmp_path)
    assert odd.returncode == ExitCode.USAGE
    assert b"ssh://ann@host" in odd.stderr


def test_docker_loads_what_streams(
    docker: Docker, public_registry: LiveRegistry, small_image: Layout, tmp_path: Path
) -> None:
    """`entrepot pull … docker-archive:- | docker load`, and back: `docker save | entrepot push docker-archive:-`."""
    short = secrets.token_hex(4)
    name = f"localhost/stream-{short}:1"
    remote = f"{public_registry.address}/daemons/{short}"
    login = {"ENTREPOT_CLIENT_USERNAME": "admin", "ENTREPOT_CLIENT_PASSWORD": public_registry.admin_password}
    layout = f"oci:{small_image.path}"
    assert run("push", layout, f"{remote}:1", environment=login, folder=tmp_path).returncode == ExitCode.OK

    streamed = run("pull", f"{remote}:1", f"docker-archive:-:{name}", environment={}, folder=tmp_path)
    assert streamed.returncode == ExitCode.OK, streamed.stderr
    (tmp_path / "streamed.tar").write_bytes(streamed.stdout)
    docker("load", "--input", tmp_path / "streamed.tar")
    docker("save", "--output", tmp_path / "saved.tar", name)
    saved = (tmp_path / "saved.tar").read_bytes()
    back = run("push", "docker-archive:-", f"{remote}:2", environment=login, folder=tmp_path, stdin=saved)

    assert back.returncode == ExitCode.OK, back.stderr
    assert b"sha256:" in streamed.stderr
    assert docker("image", "inspect", "--format", "{{.Id}}", name).strip() == small_image.config()
    docker.forget(name)
