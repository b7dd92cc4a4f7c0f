"""``entrepot tls``: certificates that clients take, and what is wrong with others."""

import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from entrepot.certificates import Fault, facts_of, faults_of, issue, make_authority, read_chain
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.server.tls import tls
from harness.ports import free_port
from harness.programs import find_program, run_program
from harness.protocol import Repository
from harness.registry import LiveRegistry, running_registry

NOW = datetime.now(UTC)


def run(*arguments: str | Path) -> Result:
    """Run a command; CommandFailed is its exception."""
    return CliRunner().invoke(tls, [str(word) for word in arguments])


def code_of(ended: Result) -> int:
    """How it ended."""
    return int(getattr(ended.exception, "code", ended.exit_code))


def init(folder: Path, *more: str) -> Result:
    """Make certificates for localhost."""
    return run("init", "--host", "localhost", "--host", "127.0.0.1", "--out", folder, *more)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The directory of what ``tls init`` made."""
    assert code_of(init(tmp_path / "tls")) == 0
    return tmp_path / "tls"


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    """Files are made with their modes; nothing half-written is left."""
    assert code_of(init(tmp_path / "tls")) == 0
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600}


def test_an_authority_signs_again(tmp_path: Path) -> None:
    """The second certificate is of the same authority, so that clients go on; what is there is not written over."""
    folder = tmp_path / "tls"
    first = init(folder)
    authority, server = (folder / "ca.crt").read_bytes(), (folder / "server.crt").read_bytes()
    assert "made an authority" in first.output
    refused = init(folder)
    assert code_of(refused) == ExitCode.USAGE
    assert "--force" in str(refused.exception)
    assert (folder / "server.crt").read_bytes() == server
    assert "made a certificate" in init(folder, "--force").output
    assert (folder / "ca.crt").read_bytes() == authority
    (leaf,) = read_chain((folder / "server.crt").read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    (folder / "ca.key").write_text("no key", encoding="utf-8")
    assert code_of(init(folder, "--force")) == ExitCode.USAGE


@pytest.mark.parametrize("host", ["https://a", "a:5000", "a b", "", "-a", "a..b", "a/b"])
def test_hosts_that_are_none(tmp_path: Path, host: str) -> None:
    """They are told, and nothing is made."""
    ended = run("init", "--host", host, "--out", tmp_path / "tls")
    assert code_of(ended) == ExitCode.USAGE
    assert not (tmp_path / "tls").exists()


def test_it_says_where_clients_need_the_authority(tmp_path: Path) -> None:
    """Each client's directory has the host with its port; on 443 without one."""
    said = init(tmp_path / "tls", "--port", "5443").output
    for folder in ("/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/containerd/certs.d"):
        assert f"{folder}/localhost:5443/ca.crt" in said
    told = json.loads(init(tmp_path / "other", "--port", "443", "--output", "json").output)
    assert told["clients"]["docker"][0] == "mkdir -p /etc/docker/certs.d/localhost"
    assert told["new_authority"] is True


def test_clients_take_it(tmp_path: Path, made: Path) -> None:
    """A client that is given the authority as it is told pulls; the command finds nothing wrong, and says what is."""
    flags = ("--tls-certificate", str(made / "server.crt"), "--tls-key", str(made / "server.key"))
    with running_registry(tmp_path / "registry", *flags) as running:
        pull_with_crane(running, made / "ca.crt")
        trusted = run("check", running.address, "--ca", made / "ca.crt")
        assert code_of(trusted) == 0
        assert "nothing is wrong with it" in trusted.output
        unknown = run("check", running.address, "--output", "json")
        assert code_of(unknown) == ExitCode.NETWORK
        said = json.loads(unknown.output)
        assert "local issuer" in said["refusal"]
        assert said["chain"][0]["names"] == ["localhost", "127.0.0.1"]


def pull_with_crane(running: LiveRegistry, authority: Path) -> None:
    """Push with this process, pull with crane."""
    context = ssl.create_default_context(cafile=authority)
    with httpx.Client(base_url=running.url, auth=("admin", running.admin_password), verify=context) as root:
        Repository(root, "app").push_image()
    environment = {**os.environ, "SSL_CERT_FILE": str(authority), "DOCKER_CONFIG": str(authority.parent)}
    crane = find_program("crane")
    login: list[str | Path] = [crane, "auth", "login", running.address, "-u", "admin", "--password-stdin"]
    run_program(login, environment=environment, stdin=running.admin_password)
    assert run_program([crane, "digest", f"{running.address}/app:v1"], environment=environment).startswith("sha256:")


def test_what_is_no_tls_is_told(tmp_path: Path) -> None:
    """Nobody there, and plain HTTP, are lines with a code of their own."""
    nobody = run("check", f"127.0.0.1:{free_port()}")
    assert code_of(nobody) == ExitCode.NETWORK
    assert "cannot be reached" in str(nobody.exception)
    with running_registry(tmp_path / "registry") as running:
        plain = run("check", running.address)
    assert code_of(plain) == ExitCode.NETWORK
    assert "plain HTTP" in str(plain.exception)


@pytest.mark.parametrize("server", ["", "a:0", "a:99999", "a:x", "a/b", "[::1"])
def test_addresses_that_are_none(server: str) -> None:
    """They are told."""
    assert code_of(run("check", server)) == ExitCode.USAGE


def test_a_file_and_its_key(tmp_path: Path, made: Path) -> None:
    """A pair that does not fit, another name, and a file that is none."""
    file = made / "server.crt"
    assert code_of(run("check", "--certificate", file, "--key", made / "server.key", "--host", "localhost")) == 0
    assert code_of(run("check", "--certificate", file, "--key", made / "ca.key")) == ExitCode.NETWORK
    other = run("check", "--certificate", file, "--host", "elsewhere.example", "--output", "json")
    assert json.loads(other.output)["faults"] == ["other-names"]
    (tmp_path / "none").write_text("no certificate", encoding="utf-8")
    assert code_of(run("check", "--certificate", tmp_path / "none")) == ExitCode.USAGE
    assert code_of(run("check", "--certificate", tmp_path / "missing")) == ExitCode.USAGE


def test_faults_of_chains() -> None:
    """Each fault is found by what is wrong, and nothing else is."""
    authority, other = make_authority("one"), make_authority("two")
    leaf = issue(authority, ["a.example", "*.b.example", "192.0.2.1"]).certificate
    good = [leaf, authority.certificate]
    for host in ("a.example", "A.Example", "x.b.example", "192.0.2.1"):
        assert faults_of(good, host, NOW) == []
    for host in ("b.example", "x.y.b.example", "192.0.2.2", "x.example"):
        assert faults_of(good, host, NOW) == [Fault.OTHER_NAMES]
    assert faults_of([leaf, other.certificate], None, NOW) == [Fault.BROKEN_CHAIN]
    assert faults_of(good, None, NOW + timedelta(days=820)) == [Fault.ENDS_SOON]
    assert faults_of(good, None, NOW + timedelta(days=900)) == [Fault.EXPIRED]
    assert faults_of(good, None, NOW - timedelta(days=2)) == [Fault.NOT_YET_VALID]
    assert set(faults_of([authority.certificate], None, NOW)) == {Fault.NO_NAMES, Fault.SELF_SIGNED}
    assert facts_of(leaf).names == ["a.example", "*.b.example", "192.0.2.1"]
