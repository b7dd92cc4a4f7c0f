"""``entrepot push``, ``pull`` and ``copy`` as people and programs run them."""

import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bench import registries
from client.conftest import Peer
from client.layouts import MadeLayout, blobs_of, signed_index
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from harness.certificates import Certificates, make_certificates
from harness.ports import free_port
from harness.registry import running_registry


def test_push_and_pull(ours_with_login: Peer, shell: Shell, tmp_path: Path) -> None:
    """Stdout has the name with its digest alone; credentials come from stdin or from variables."""
    made, index = signed_index(tmp_path / "made")
    name = ours_with_login.fresh()
    flags = ("--username", registries.USER, "--password-stdin")
    pushed = shell.run("push", f"oci:{made.folder}:v1", f"{name}:1.4.2,1.4", *flags, stdin=registries.PASSWORD + "\n")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout == f"{name}@{index['digest']}\n"
    pulled = shell.run("pull", pushed.stdout.strip(), tmp_path / "back", "--progress", "none", login=True)
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert blobs_of(tmp_path / "back") == set(made.digests)


def test_what_programs_read(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """The result as JSON on stdout, progress as JSON lines on stderr; a dry run only says what it would store."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100, 2_000_000))
    name = ours.fresh()
    planned = json.loads(shell.run("push", f"oci:{made.folder}:v1", name, "--dry-run", "--output", "json").stdout)
    assert planned["dryRun"]
    assert len(planned["stored"]) == 4
    assert shell.run("copy", f"{name}:v1", tmp_path / "x").returncode == ExitCode.NOT_FOUND
    pushed = shell.run("push", f"oci:{made.folder}:v1", name, "--output", "json", "--progress", "json")
    assert json.loads(pushed.stdout)["digest"] == made.digests[-1]
    events = [json.loads(line) for line in pushed.stderr.splitlines()]
    assert events


def test_between_registries(ours: Peer, ours_with_login: Peer, shell: Shell, tmp_path: Path) -> None:
    """Credentials that could go to either of two registries are refused: they are for one."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    source = f"{ours.fresh()}:v1"
    assert shell.run("push", f"oci:{made.folder}:v1", source).returncode == 0
    assert shell.run("copy", source, f"{ours.fresh()}:v2").returncode == 0
    refused = shell.run("copy", source, f"{ours_with_login.fresh()}:v2", login=True)
    assert refused.returncode == ExitCode.USAGE
    assert "one registry" in refused.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that no system knows."""
    return make_certificates(tmp_path_factory.mktemp("certificates"), "localhost")


def test_a_private_authority(shell: Shell, tmp_path: Path, certificates: Certificates) -> None:
    """It is trusted when it is given; without it the certificate's own facts are told, and nothing is sent."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    with running_registry(tmp_path / "registry", *certificates.flags()) as registry:
        target = f"{registry.address}/team/app:v1"
        login = {"ENTREPOT_CLIENT_USERNAME": "admin", "ENTREPOT_CLIENT_PASSWORD": registry.admin_password}
        refused = shell.run("push", f"oci:{made.folder}:v1", target, environment=login)
        assert refused.returncode == ExitCode.NETWORK
        assert "--ca" in refused.stderr
        trusted = shell.run("push", f"oci:{made.folder}:v1", target, "--ca", certificates.authority, environment=login)
        assert trusted.returncode == 0, trusted.stderr
        plain = shell.run("push", f"oci:{made.folder}:v1", target, "--plain-http", environment=login)
        assert plain.returncode == ExitCode.NETWORK


@pytest.mark.parametrize(
    ("made", "given", "said"),
    [
        ({}, False, ["is not trusted", "issued by an authority of the tests to registry.test"]),
        ({"has_addresses": False}, True, ["is for another name", "its certificate is for registry.test"]),
        ({"age": timedelta(hours=5)}, True, ["has expired", "it is 2"]),
        ({"age": timedelta(hours=-5)}, True, ["not valid yet", "it is 2"]),
    ],
    ids=["stranger", "name", "expired", "early"],
)
def test_what_is_wrong_with_a_certificate(
    shell: Shell, tmp_path: Path, made: dict[str, Any], given: bool, said: list[str]
) -> None:
    """Who it is for, who issued it, until when, its fingerprint and this machine's clock; no login was sent."""
    found = make_certificates(tmp_path, "registry.test", **made)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.certificate, found.key)
    with greeting(context) as (port, received):
        trust = ("--ca", found.authority) if given else ()
        ended = shell.run("digest", f"127.0.0.1:{port}/team/app:v1", *trust, "--retries", "0", login=True)
    assert ended.returncode == ExitCode.NETWORK, ended.stderr
    for words in said:
        assert words in ended.stderr
    der = ssl.PEM_cert_to_DER_cert(found.certificate.read_text(encoding="ascii"))
    assert hashlib.sha256(der).digest().hex(":").upper() in ended.stderr
    assert not received


@contextlib.contextmanager
def greeting(context: ssl.SSLContext) -> Generator[tuple[int, list[bytes]], None, None]:
    """A server that greets by TLS and keeps what it is sent after that; its port."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                    connection.settimeout(5)
                    received.extend(filter(None, [connection.recv(4096)]))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], received
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("push", "oci:made:none", "HOST/team/app:v1"), ExitCode.NOT_FOUND, "none"),
        (("push", "./missing.tar", "HOST/team/app:v1"), ExitCode.NOT_FOUND, "missing.tar"),
        (("pull", "HOST/Team/app:v1", "./x"), ExitCode.USAGE, "did you mean"),
        (("pull", "https://HOST/team/app:v1", "./x"), ExitCode.USAGE, ""),
        (("pull", "HOST/team/none:v1", "./x"), ExitCode.NOT_FOUND, "not found"),
        (("push", "oci:made:v1", "x.tar"), ExitCode.USAGE, "push sends to a registry"),
        (("pull", "oci:made:v1", "./x"), ExitCode.USAGE, "pull fetches from a registry"),
        (("push", "oci:made:v1", "HOST/team/app:v1", "--chunk-size", "huge"), ExitCode.USAGE, "is no size"),
        (("push", "oci:made:v1", "NOBODY/team/app:v1", "--retries", "0"), ExitCode.NETWORK, "cannot be reached"),
    ],
)
def test_what_goes_wrong_is_told(
    ours: Peer, shell: Shell, tmp_path: Path, arguments: tuple[str, ...], code: ExitCode, said: str
) -> None:
    """What failed, in lines without a trace, with a code of its own; nothing is left behind."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    nobody = f"127.0.0.1:{free_port()}"
    words = [word.replace("HOST", ours.address).replace("NOBODY", nobody) for word in arguments]
    ended = shell.run(*words)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not ended.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"made", "state"}


def test_help_is_there_at_once() -> None:
    """Neither the list of commands nor a command's help imports what moves bytes."""
    script = (
        "import sys, runpy\n"
        "sys.argv = ['entrepot', 'push', '--help']\n"
        "try:\n    from entrepot.cli import main; main()\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'aiohttp', 'rich', 'pydantic', 'sqlalchemy', 'starlette', 'cryptography', 'asyncio'}))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] in {"[]", "['asyncio']"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pu"], ["push", "pull"]),
        (["w"], ["whoami", "worker"]),
        (["push", "--lim"], ["--limit-rate"]),
        (["copy", "--progress", "j"], ["json"]),
    ],
)
def test_a_shell_completes_commands_and_flags(shell: Shell, words: list[str], found: list[str]) -> None:
    """What bash has in COMPREPLY after it has read what the command prints."""
    source = shell.run("completion", "bash").stdout
    typed = " ".join(["entrepot", *words])
    script = f"{source}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}\n_entrepot_completion entrepot\n"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-c", script + 'printf "%s\\n" "${COMPREPLY[@]}"']
    ended = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == found
    assert not ended.stderr


def test_other_shells_complete_too(shell: Shell) -> None:
    """Each has its own words; a shell that is not known is a mistake."""
    assert "compdef" in shell.run("completion", "zsh").stdout
    assert "complete" in shell.run("completion", "fish").stdout
    assert shell.run("completion", "tcsh").returncode == ExitCode.USAGE
