"""Every command of the client, at each of three registries, over TLS with a private authority and over plain HTTP."""

import json
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import registries
from client.layouts import MadeLayout, blobs_of, signed_index
from client.shell import LOGIN, Shell
from entrepot.cli.exit_codes import ExitCode
from harness.certificates import make_certificates

WAYS = [(name, is_secure) for name in registries.PEERS for is_secure in (True, False)]


@dataclass(frozen=True)
class Registry:
    """A registry, and how somebody who may do everything runs commands there."""

    host: str
    trust: tuple[str, ...]
    may_login: bool
    shell: Shell

    def ended(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """How a command ends."""
        return self.shell.run(*arguments, *self.trust, environment=LOGIN if self.may_login else {})

    def run(self, *arguments: str | Path, code: ExitCode = ExitCode.OK) -> str:
        """What a command prints that ends so."""
        ended = self.ended(*arguments)
        assert ended.returncode == code, ended.stderr
        return ended.stdout.strip()


@pytest.fixture(params=WAYS, ids=[f"{name}-{'tls-login' if secure else 'http-open'}" for name, secure in WAYS])
def ask(request: pytest.FixtureRequest, shell: Shell, tmp_path: Path) -> Generator[Registry, None, None]:
    """Each of the registries: over TLS with a login, over plain HTTP without."""
    name, is_secure = request.param
    made = make_certificates(tmp_path, "registry.test")
    certificate = registries.Certificate(made.authority, made.certificate, made.key) if is_secure else None
    trust = ("--ca", str(made.authority)) if is_secure else ()
    with registries.running(name, tmp_path / "registry", login=is_secure, tls=certificate) as running:
        # Our registry lets nobody delete who has not logged in.
        yield Registry(f"127.0.0.1:{running.port}", trust, is_secure or name == "entrepot", shell)


def test_every_verb(ask: Registry, tmp_path: Path) -> None:
    """What is pushed is listed, looked at, tagged, copied, pulled, untagged and deleted."""
    host, run = ask.host, ask.run
    made, index = signed_index(tmp_path / "made")
    other = MadeLayout(tmp_path / "other")
    other.write(v9=other.image(10))
    name, copied = f"{host}/team/app", f"{host}/team/copied"
    quiet = ("--progress", "none")

    assert run("push", *quiet, f"oci:{made.folder}:v1", f"{name}:1.4.2") == f"{name}@{index['digest']}"
    assert run("digest", f"{name}:1.4.2") == index["digest"]
    assert json.loads(run("manifest", f"{name}:1.4.2"))["mediaType"] == index["mediaType"]
    assert json.loads(run("inspect", f"{name}:1.4.2", "--output", "json"))["digest"] == index["digest"]
    assert "1.4.2" in run("tags", name).split()
    assert run("tag", f"{name}:1.4.2", "--semver").split() == [f"{name}:1.4", f"{name}:1"]
    assert "team/app" in run("catalog", host)
    assert run("copy", *quiet, f"{name}:1.4", f"{copied}:v1") == f"{copied}@{index['digest']}"
    all_of_it = run("copy", *quiet, "--all-tags", copied, f"{host}/team/all")
    assert f"{host}/team/all:v1@{index['digest']}" in all_of_it.split()
    run("pull", *quiet, f"{copied}:v1", f"oci:{tmp_path / 'back'}:v1")
    assert blobs_of(tmp_path / "back") == set(made.digests)
    assert run("whoami", host)
    assert host in run("origins", host)

    run("push", *quiet, f"oci:{other.folder}:v9", f"{name}:v9")
    run("delete", f"{name}:v9")
    run("digest", f"{name}:v9", code=ExitCode.NOT_FOUND)
    untagged = ask.ended("untag", f"{name}:1.4")
    assert untagged.returncode == ExitCode.OK or "deletes no tags" in untagged.stderr
    run("digest", f"{name}:1.4", code=ExitCode.NOT_FOUND if untagged.returncode == ExitCode.OK else ExitCode.OK)
    assert run("digest", f"{name}:1.4.2") == index["digest"]


def test_log_in_and_out(ask: Registry, shell: Shell) -> None:
    """What is kept lets the next command in, until it is forgotten."""
    if not ask.may_login:
        assert registries.USER not in ask.run("whoami", ask.host)
        return
    password = ("--username", registries.USER, "--password-stdin", "--allow-plaintext")
    done = shell.run("login", ask.host, *password, *ask.trust, stdin=registries.PASSWORD)
    assert done.returncode == ExitCode.OK, done.stderr
    assert registries.USER in shell.run("whoami", ask.host, *ask.trust).stdout
    assert shell.run("logout", ask.host).returncode == ExitCode.OK
    assert registries.USER not in shell.run("whoami", ask.host, *ask.trust).stdout
