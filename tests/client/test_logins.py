"""``entrepot login``, ``logout`` and ``whoami``; whose logins are read, and who reads what they write."""

import base64
import json
import os
import re
import secrets
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from bench import registries
from client.conftest import Peer
from client.layouts import MadeLayout
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from harness.administration import Administration
from harness.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdServer
from harness.plain_logins import keep_logins_in
from harness.programs import find_program, run_program
from harness.registry import LiveRegistry, running_registry

PASSWORD = ("--username", registries.USER, "--password-stdin")
PLAIN = "--allow-plaintext"
BIN = Path(sys.executable).parent


@pytest.fixture
def image(ours_with_login: Peer, shell: Shell, tmp_path: Path) -> str:
    """An image in the registry that wants a login."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    name = f"{ours_with_login.address}/team/{secrets.token_hex(5)}:v1"
    pushed = shell.run("push", f"oci:{made.folder}:v1", name, "--progress", "none", login=True)
    assert pushed.returncode == 0, pushed.stderr
    return name


@pytest.fixture(scope="session", params=["entrepot", "distribution", "docker-registry"])
def wanting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    """The address of a registry that wants a login: one by tokens, one by the password itself."""
    with registries.running(request.param, tmp_path_factory.mktemp("wanting") / "registry", login=True) as running:
        yield f"127.0.0.1:{running.port}"


def config_of(shell: Shell) -> Path:
    """Docker's file with logins."""
    return shell.home / "docker" / "config.json"


def write_config(shell: Shell, **content: object) -> Path:
    """Write docker's file with logins."""
    path = config_of(shell)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def pair(username: str, password: str) -> dict[str, str]:
    """An entry with a password."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def program(folder: Path, name: str, script: str) -> str:
    """A program that keeps credentials, as a shell script; returns the PATH that has it."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_login_is_proven_kept_and_forgotten(wanting: str, shell: Shell) -> None:
    """A wrong password is not kept; the right one is, its owner's alone, until they log out."""
    wrong = shell.run("login", wanting, *PASSWORD, PLAIN, stdin="wrong\n")
    assert wrong.returncode == ExitCode.LOGIN
    assert "does not accept 'bench'" in wrong.stderr.replace(registries.USER, "bench")
    assert not config_of(shell).exists()

    assert shell.run("tags", f"{wanting}/team/none").returncode == ExitCode.LOGIN
    done = shell.run("login", wanting, *PASSWORD, PLAIN, stdin=registries.PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"logged in to {wanting} as {registries.USER}")
    assert "whoever reads the file" in done.stderr
    assert stat.S_IMODE(config_of(shell).stat().st_mode) == 0o600

    assert shell.run("tags", f"{wanting}/team/none").returncode == ExitCode.NOT_FOUND
    who = json.loads(shell.run("whoami", wanting, "--output", "json").stdout)
    assert (who["username"], who["accepted"]) == (registries.USER, True)
    assert who["foundIn"].startswith(str(config_of(shell)))

    assert "removed from" in shell.run("logout", wanting).stdout
    assert json.loads(config_of(shell).read_text())["auths"] == {}
    refused = shell.run("tags", f"{wanting}/team/none")
    assert refused.returncode == ExitCode.LOGIN
    assert f"next: entrepot login {wanting}" in refused.stderr
    assert "nothing was kept" in shell.run("logout", wanting).stdout


def test_a_token_is_kept_in_place_of_a_password(ours_with_login: Peer, shell: Shell, image: str) -> None:
    """Where the registry gives one: the file has neither password nor anything that logs in by itself."""
    shell.run("login", ours_with_login.address, *PASSWORD, PLAIN, stdin=registries.PASSWORD)
    (entry,) = json.loads(config_of(shell).read_text())["auths"].values()
    assert entry["identitytoken"]
    assert registries.PASSWORD not in base64.b64decode(entry["auth"]).decode()
    assert shell.run("digest", image).returncode == 0
    repository = image.rpartition(":")[0]
    assert "may: delete, move, pull, push" in shell.run("whoami", repository).stdout


def test_nothing_is_kept_in_a_file_unless_it_may(ours_with_login: Peer, shell: Shell) -> None:
    """Without a program or a keyring the login is refused with what to do, and no file is written."""
    refused = shell.run("login", ours_with_login.address, *PASSWORD, stdin=registries.PASSWORD)
    assert refused.returncode == ExitCode.LOGIN
    assert PLAIN in refused.stderr
    assert not config_of(shell).exists()


def test_what_else_is_in_the_file_stays(ours_with_login: Peer, shell: Shell, tmp_path: Path) -> None:
    """Other registries, other settings, and a link in the file's place."""
    real = tmp_path / "real.json"
    other = pair("ann", "secret")
    real.write_text(json.dumps({"auths": {"other.example": other}, "detachKeys": "ctrl-e,e"}), encoding="utf-8")
    config_of(shell).parent.mkdir()
    config_of(shell).symlink_to(real)
    assert shell.run("login", ours_with_login.address, *PASSWORD, PLAIN, stdin=registries.PASSWORD).returncode == 0
    assert config_of(shell).is_symlink()
    document = json.loads(real.read_text())
    assert (document["detachKeys"], document["auths"]["other.example"]) == ("ctrl-e,e", other)
    assert shell.run("logout", "--all").returncode == 0
    assert json.loads(real.read_text())["auths"] == {}


def test_key_files_and_tokens(tmp_path: Path, shell: Shell) -> None:
    """A robot's key file and somebody's token log in like a password, and neither is an argument."""
    with running_registry(tmp_path / "registry") as registry:
        admin = Administration(registry.data)
        key = tmp_path / "key.json"
        admin("robot", "create", "builder", "--role", "writer", "--repositories", "team/**", "--key-file", str(key))
        done = shell.run("login", registry.address, "--json-key", key, PLAIN)
        assert done.returncode == 0, done.stderr
        assert "may: move, pull, push" in shell.run("whoami", f"{registry.address}/team/app").stdout
        assert "may: nothing" in shell.run("whoami", f"{registry.address}/other/app").stdout

        admin.user("ann", "a password that no client is given")
        token = admin.json("token", "create", "ann", "--name", "laptop")["token"]
        flags = ("--username", "_token", "--password-stdin")
        assert "as ann" in shell.run("login", registry.address, *flags, PLAIN, stdin=token).stdout
        identity = next(iter(json.loads(config_of(shell).read_text())["auths"].values()))["identitytoken"]
        shell.run("logout", registry.address)
        assert "as ann" in shell.run("login", registry.address, "--token-stdin", PLAIN, stdin=identity).stdout
        admin("user", "disable", "ann")
        refused = shell.run("whoami", registry.address)
        assert refused.returncode == ExitCode.LOGIN
        assert "expired or revoked" in refused.stderr


@pytest.fixture
def with_provider(tmp_path: Path, openid_provider: OpenIdServer) -> Generator[LiveRegistry, None, None]:
    """A registry whose people log in at a provider."""
    (tmp_path / "client-secret").write_text(f"{CLIENT_SECRET}\n", encoding="utf-8")
    settings = {
        "ENTREPOT_OIDC__ISSUER": openid_provider.issuer,
        "ENTREPOT_OIDC__CLIENT_ID": CLIENT_ID,
        "ENTREPOT_OIDC__CLIENT_SECRET_FILE": str(tmp_path / "client-secret"),
    }
    with running_registry(tmp_path / "registry", environment=settings) as registry:
        yield registry


@pytest.mark.parametrize("approve", [True, False], ids=["confirmed", "declined"])
def test_single_sign_on(
    with_provider: LiveRegistry, openid_provider: OpenIdServer, shell: Shell, approve: bool
) -> None:
    """The address to open is shown at once; what somebody confirms there is a login that is kept."""
    registry = with_provider
    command = [str(BIN / "entrepot"), "login", registry.address, "--sso", PLAIN]
    with subprocess.Popen(
        command, env={**os.environ, **shell.variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        shown = process.stderr.readline()
        match = re.fullmatch(r"open (http\S+)\n", shown)
        assert match is not None, shown + process.stderr.read()
        openid_provider.approve_device(match[1], "u-1", approve=approve)
        said, told = process.communicate(timeout=60)
    if approve:
        assert said.startswith(f"logged in to {registry.address} as alice"), told
        assert "alice" in shell.run("whoami", registry.address).stdout
    else:
        assert process.returncode == ExitCode.LOGIN, told
        assert not config_of(shell).exists()


def test_no_single_sign_on(ours_with_login: Peer, shell: Shell) -> None:
    """A registry without a provider says so, with what else to do."""
    refused = shell.run("login", ours_with_login.address, "--sso", PLAIN)
    assert refused.returncode != 0
    assert "offers no login through a browser" in refused.stderr
    assert "--password-stdin" in refused.stderr


@pytest.mark.parametrize("variable", ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "docker", "auth.json", "--authfile"])
def test_where_logins_are_read(ours_with_login: Peer, shell: Shell, image: str, variable: str) -> None:
    """Docker's variable and file, podman's, the one that a variable or a flag names."""
    content = {"auths": {ours_with_login.address: pair(registries.USER, registries.PASSWORD)}}
    elsewhere = shell.home / "elsewhere.json"
    environment: dict[str, str] = {}
    flags: list[str] = []
    if variable == "DOCKER_AUTH_CONFIG":
        environment[variable] = json.dumps(content)
    elif variable == "docker":
        write_config(shell, **content)
    elif variable == "auth.json":
        path = shell.home / "run" / "containers" / "auth.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    else:
        elsewhere.write_text(json.dumps(content), encoding="utf-8")
        flags = ["--authfile", str(elsewhere)] if variable == "--authfile" else []
        environment = {} if flags else {variable: str(elsewhere)}
    found = shell.run("digest", image, *flags, environment=environment)
    assert found.returncode == 0, found.stderr


def test_the_longest_name_counts(ours_with_login: Peer, shell: Shell, image: str) -> None:
    """An entry for a repository is before that of its namespace, and that before the registry's."""
    host, wrong, right = ours_with_login.address, pair("ann", "wrong"), pair(registries.USER, registries.PASSWORD)
    repository = image.rpartition(":")[0]
    write_config(shell, auths={host: wrong, f"{host}/team": wrong, repository: right, f"{host}/te": wrong})
    assert shell.run("digest", image).returncode == 0
    write_config(shell, auths={host: right, f"{host}/team": wrong})
    refused = shell.run("digest", image)
    assert refused.returncode == ExitCode.LOGIN
    assert f"'ann' (from {config_of(shell)}, {host}/team)" in refused.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "no such program on the PATH"),
        ('echo "warning: something"; echo \'{"Username":"a","Secret":"hidden-word"}\'', "not the JSON of the protocol"),
        ('echo "the vault is locked"; exit 1', "the vault is locked"),
        ('echo \'{"Username":"a"}\'', "not the JSON of the protocol"),
    ],
    ids=["missing", "noisy", "refusing", "incomplete"],
)
def test_programs_that_do_not_work_are_named(
    ours_with_login: Peer, shell: Shell, image: str, tmp_path: Path, script: str | None, said: str
) -> None:
    """With the file that names them and a way out; what they wrote beside an answer is not shown."""
    write_config(shell, credHelpers={ours_with_login.address: "vault"})
    path = program(tmp_path, "vault", script) if script is not None else os.environ["PATH"]
    failed = shell.run("digest", image, environment={"PATH": path})
    assert failed.returncode == ExitCode.LOGIN
    assert "docker-credential-vault" in failed.stderr
    assert said in failed.stderr
    assert str(config_of(shell)) in failed.stderr
    assert "hidden-word" not in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_program_with_nothing_lets_others_be_asked(
    ours_with_login: Peer, shell: Shell, image: str, tmp_path: Path
) -> None:
    """Its word for that is no failure, and it is asked once for all requests."""
    write_config(shell, credsStore="vault")
    calls = tmp_path / "calls"
    path = program(tmp_path, "vault", f'echo "$1" >> {calls}; echo "credentials not found in native keychain"; exit 1')
    environment = {"PATH": path, "DOCKER_AUTH_CONFIG": ""}
    assert shell.run("digest", image, environment=environment).returncode == ExitCode.LOGIN
    assert calls.read_text().split() == ["get"]


@pytest.mark.parametrize(
    "content",
    ["{", '{"auths": []}', '{"auths": {"host.example": {"auth": "no base64!"}}}', '{"credHelpers": {"h": 1}}', "[]"],
)
def test_damaged_files_are_named(ours_with_login: Peer, shell: Shell, image: str, content: str) -> None:
    """A file that cannot be read ends the command, and is not changed by a login."""
    path = write_config(shell)
    path.write_text(content, encoding="utf-8")
    failed = shell.run("digest", image)
    assert (failed.returncode, str(path) in failed.stderr) == (ExitCode.LOGIN, True)
    assert "no base64!" not in failed.stderr
    refused = shell.run("login", ours_with_login.address, *PASSWORD, PLAIN, stdin=registries.PASSWORD)
    assert refused.returncode == ExitCode.LOGIN
    assert path.read_text(encoding="utf-8") == content


def test_others_read_what_is_written(wanting: str, shell: Shell, tmp_path: Path) -> None:
    """crane, oras, skopeo and podman go by the login of this client."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    name = f"{wanting}/team/app:v1"
    assert shell.run("login", wanting, *PASSWORD, PLAIN, stdin=registries.PASSWORD).returncode == 0
    assert shell.run("push", f"oci:{made.folder}:v1", name).returncode == 0
    environment = {**os.environ, **shell.variables}
    authfile = ["--authfile", str(config_of(shell)), "--tls-verify=false"]
    assert made.digests[-1] in run_program([find_program("crane"), "digest", name], environment=environment)
    assert made.digests[-1] in run_program(
        [find_program("oras"), "resolve", "--plain-http", name], environment=environment
    )
    run_program([find_program("skopeo"), "inspect", *authfile, f"docker://{name}"], environment=environment)
    run_program([find_program("podman"), "search", "--list-tags", *authfile, name.rpartition(":")[0]])


@pytest.mark.parametrize("other", ["crane", "oras", "skopeo", "podman"])
def test_the_logins_of_others_are_read(wanting: str, shell: Shell, other: str) -> None:
    """Each writes its own file in its own way."""
    password = ["-u", registries.USER, "--password-stdin", wanting]
    commands = {
        "crane": ["auth", "login", *password],
        "oras": ["login", "--plain-http", *password],
        "skopeo": ["login", "--tls-verify=false", *password],
        "podman": ["login", "--tls-verify=false", *password],
    }
    (shell.home / "run").mkdir()
    keep_logins_in(config_of(shell))
    environment = {**os.environ, **shell.variables}
    run_program([find_program(other), *commands[other]], environment=environment, stdin=registries.PASSWORD)
    assert shell.run("tags", f"{wanting}/team/none").returncode == ExitCode.NOT_FOUND
    assert registries.USER in shell.run("whoami", wanting).stdout


KEYRING = """
set -e
gnome-keyring-daemon --unlock --components=secrets > /dev/null
{entrepot} login {host} --username {user} --password-stdin < {password} {flags}
! grep -q identitytoken "$DOCKER_CONFIG/config.json"
{entrepot} digest {image}
{crane} digest {image}
docker-credential-{program} list
{entrepot} logout {host}
docker-credential-{program} list
"""


@pytest.mark.parametrize("kept_by", ["entrepot", "secretservice"])
def test_a_keyring_keeps_logins(ours_with_login: Peer, shell: Shell, image: str, tmp_path: Path, kept_by: str) -> None:
    """A desktop's keyring, by our own program without a word and by another that is named; crane reads it there too."""
    password = tmp_path / "password"
    password.write_text(registries.PASSWORD, encoding="utf-8")
    script = KEYRING.format(
        entrepot=shlex.quote(str(BIN / "entrepot")),
        crane=shlex.quote(str(find_program("crane"))),
        host=ours_with_login.address,
        user=registries.USER,
        password=password,
        image=image,
        program=kept_by,
        flags="" if kept_by == "entrepot" else f"--store {kept_by}",
    )
    (shell.home / "run").mkdir(mode=0o700)
    environment = {**os.environ, **shell.variables, "PATH": f"{BIN}:{os.environ['PATH']}"}
    began = time.monotonic()
    ended = subprocess.run(
        ["dbus-run-session", "--", "bash", "-c", script],
        env=environment,
        input="the keyring's password",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert f"kept in docker-credential-{kept_by}" in lines[0]
    assert lines[1] == lines[2]
    assert json.loads(lines[3]) == {ours_with_login.address: "<token>"}
    assert json.loads(lines[-1]) == {}
    assert time.monotonic() - began < 120
