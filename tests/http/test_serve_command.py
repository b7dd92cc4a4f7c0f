import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from entrepot.cli.exit_codes import ExitCode
from harness.postgresql import PostgresqlServer
from harness.protocol import Repository, registry_in

ENTREPOT = str(Path(sys.executable).with_name("entrepot"))
SECONDS_AT_MOST = 30
PLANTED = "planted-secret-4711"


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: that of the tests without their settings, and these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")} | dict(variables)


def ended(*arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [ENTREPOT, *arguments],
        env=environment_with(variables or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_AT_MOST,
        check=False,
    )


@dataclass
class Serving:
    """A server that has said where it listens."""

    process: subprocess.Popen[str]
    banner: list[str]
    errors: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.banner[0].removeprefix("entrepot is listening on ")

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS_AT_MOST)


@contextlib.contextmanager
def serving(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> Generator[Serving, None, None]:
    """Run `entrepot serve` on a free port until the block ends."""
    errors = folder / "stderr"
    with errors.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [ENTREPOT, "serve", "--listen", "127.0.0.1:0", *arguments],
            env=environment_with(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    try:
        # The last line is podman's; a server that ends instead ends its output.
        banner: list[str] = []
        for line in process.stdout:
            banner.append(line.rstrip("\n"))
            if "podman login" in line:
                break
        assert banner, errors.read_text(encoding="utf-8")
        yield Serving(process, banner, errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(SECONDS_AT_MOST)
        process.stdout.close()


def status_of(connection: http.client.HTTPConnection, path: str, password: str | None = None) -> int:
    """The status that a request by the user admin, or by nobody, is answered with."""
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def texts_below(folder: Path) -> Iterable[str]:
    """The content of every file below a folder, as far as it is text."""
    return (path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def test_a_first_start_tells_all_that_is_needed_to_log_in(tmp_path: Path) -> None:
    """The address, where the password lies, and commands whose password the registry takes."""
    data = tmp_path / "new data"
    with serving(tmp_path, "--data", str(data)) as server:
        password_file = data / "admin-password"
        assert data.stat().st_mode & 0o777 == 0o700
        assert password_file.stat().st_mode & 0o777 == 0o600
        assert f"  the password of the user admin lies in {password_file}" in server.banner
        login = f"login {server.address} -u admin --password-stdin < '{password_file}'"
        assert server.banner[-2:] == [
            f"  docker {login}",
            f"  podman {login.replace('login', 'login --tls-verify=false')}",
        ]
        password = password_file.read_text(encoding="utf-8").strip()
        connection = http.client.HTTPConnection(server.address, timeout=SECONDS_AT_MOST)
        assert status_of(connection, "/v2/") == HTTPStatus.UNAUTHORIZED
        assert status_of(connection, "/v2/", "wrong") == HTTPStatus.UNAUTHORIZED
        assert status_of(connection, "/v2/", password) == HTTPStatus.OK
        checked = ended("db", "check", "--data", str(data))
        assert (checked.returncode, checked.stdout) == (ExitCode.OK, "the database is in order\n")
        assert server.stop() == ExitCode.OK
    errors = server.errors.read_text(encoding="utf-8")
    assert [json.loads(line)["level"] for line in errors.splitlines()]
    assert password not in "".join(server.banner) + errors


def test_a_second_server_of_a_directory_names_the_first(tmp_path: Path) -> None:
    """Two servers never share a directory by accident; after kill -9 the next one starts at once."""
    data = str(tmp_path / "data")
    with serving(tmp_path, "--data", data) as first:
        second = ended("serve", "--listen", "127.0.0.1:0", "--data", data)
        assert second.returncode == ExitCode.USAGE
        assert (
            second.stderr
            == f"entrepot: data: {data} is in use by another server, process {first.process.pid} (flag --data)\n"
        )
        first.process.kill()
        first.process.wait(SECONDS_AT_MOST)
        with serving(tmp_path, "--data", data) as third:
            assert third.stop(signal.SIGINT) == ExitCode.OK


@pytest.mark.parametrize("flag", ["--listen", "--ops-listen"])
def test_a_taken_port_names_the_flag_and_a_free_port(tmp_path: Path, flag: str) -> None:
    """One line says which flag to give which value."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free = {"--listen": "127.0.0.1:0"} | {flag: f"127.0.0.1:{port}"}
        refused = ended("serve", "--data", str(tmp_path / "data"), *[part for pair in free.items() for part in pair])
    assert refused.returncode == ExitCode.USAGE
    (line,) = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"entrepot: {flag}: port {port} of 127.0.0.1 is in use; ")
    assert f"; try {flag} 127.0.0.1:" in line
    assert not refused.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "file", "key"),
    [
        ([], {}, "lissten = '127.0.0.1:0'", "lissten"),
        ([], {}, "[uploads]\nlease = 24", "uploads.lease"),
        ([], {"ENTREPOT_WORKER": "2"}, "", "ENTREPOT_WORKER"),
        (["--data", "/dev/null/data"], {}, "", "data"),
        (["--tls-certificate", "/missing", "--tls-key", "/dev/null"], {}, "", "tls.certificate"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], file: str, key: str
) -> None:
    """An unknown key, a wrong type, an unreachable directory: the line names the key, and the exit code is 2."""
    config = tmp_path / "entrepot.toml"
    config.write_text(file, encoding="utf-8")
    given = ["serve", "--config", str(config), "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), *arguments]
    refused = ended(*given, variables=variables)
    assert refused.returncode == ExitCode.USAGE
    assert refused.stderr.startswith(f"entrepot: {key}: ")
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_settings_from_variables_and_file(tmp_path: Path) -> None:
    """A server runs with what the layers say: here a prefix, an operations address and anonymous pulls."""
    config = tmp_path / "entrepot.toml"
    config.write_text(f"data = '{tmp_path}/data'\npath_prefix = '/registry'\n", encoding="utf-8")
    variables = {"ENTREPOT_OPS_LISTEN": "127.0.0.1:0"}
    with serving(tmp_path, "--config", str(config), variables=variables) as server:
        (told,) = [line for line in server.banner if "health and metrics" in line]
        operations = http.client.HTTPConnection(told.rpartition("/")[2], timeout=SECONDS_AT_MOST)
        assert status_of(operations, "/readyz") == HTTPStatus.OK
        public = http.client.HTTPConnection(server.address, timeout=SECONDS_AT_MOST)
        assert status_of(public, "/registry/v2/") == HTTPStatus.UNAUTHORIZED
        assert status_of(public, "/v2/") == HTTPStatus.NOT_FOUND
        assert server.stop() == ExitCode.OK


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def test_a_server_with_a_certificate_speaks_tls(tmp_path: Path) -> None:
    """Clients verify the certificate, and the login lines do not switch that off."""
    certificate, key = make_certificate(tmp_path)
    flags = ["--data", str(tmp_path / "data"), "--tls-certificate", str(certificate), "--tls-key", str(key)]
    with serving(tmp_path, *flags) as server:
        assert server.url.startswith("https://")
        assert "--tls-verify" not in server.banner[-1]
        trusting = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection(server.address, timeout=SECONDS_AT_MOST, context=trusting)
        assert status_of(connection, "/v2/") == HTTPStatus.UNAUTHORIZED
        assert server.stop() == ExitCode.OK


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    """Files that can be read and hold something else are refused with their names."""
    certificate, _ = make_certificate(tmp_path)
    flags = ["--data", str(tmp_path / "data"), "--tls-certificate", str(certificate), "--tls-key", str(certificate)]
    refused = ended("serve", "--listen", "127.0.0.1:0", *flags)
    assert refused.returncode == ExitCode.USAGE
    (line,) = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"entrepot: cannot use the certificate {certificate} with the key {certificate}: ")


def test_a_newer_schema_is_refused_in_words(tmp_path: Path) -> None:
    """A server does not touch the database of a later version."""
    assert ended("db", "upgrade", "--data", str(tmp_path)).returncode == ExitCode.OK
    with contextlib.closing(sqlite3.connect(tmp_path / "entrepot.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    refused = ended("serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path))
    assert refused.returncode == ExitCode.OTHER
    (line,) = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("entrepot: database: the database's schema is newer than this program")


def test_an_empty_store_of_a_database_with_blobs_is_refused_in_words(tmp_path: Path) -> None:
    """Where the disk with the blobs is not mounted the server does not start, and says what to do."""
    with registry_in(tmp_path) as registry, registry.admin() as admin:
        Repository(admin).push_blob()
    store = registry.settings.data / "store"
    store.rename(tmp_path / "elsewhere")
    store.mkdir()

    refused = ended("serve", "--listen", "127.0.0.1:0", "--data", str(registry.settings.data))

    assert refused.returncode == ExitCode.USAGE
    (line,) = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"entrepot: data: {store} is empty, but the database has blobs")
    assert str(store / "entrepot-store") in line
    assert not list(store.iterdir())


def test_a_first_start_on_postgresql_asks_for_a_password(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    """On a database that several machines may share nobody makes a password up: one line names the flag."""
    variables = {"ENTREPOT_DATABASE": postgresql.fresh_database()}
    refused = ended("serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), variables=variables)
    assert refused.returncode == ExitCode.USAGE
    (line,) = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("entrepot: ")
    assert "--admin-password-file" in line


def test_secrets_are_in_no_output_file_or_argument_list(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    """The database's password and the admin's are in nothing that a server with workers writes or shows."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    scheme, _, rest = postgresql.fresh_database().partition("://")
    user, _, location = rest.partition("@")
    (secrets / "database").write_text(f"{scheme}://{user}:{PLANTED}@{location}\n", encoding="utf-8")
    (secrets / "admin").write_text(f"admin-{PLANTED}\n", encoding="utf-8")
    run = tmp_path / "run"
    run.mkdir()
    variables = {
        "ENTREPOT_DATABASE_FILE": str(secrets / "database"),
        "ENTREPOT_ADMIN__PASSWORD_FILE": str(secrets / "admin"),
        "ENTREPOT_LOG__LEVEL": "debug",
    }
    with serving(run, "--data", str(run / "data"), "--workers", "2", variables=variables) as server:
        connection = http.client.HTTPConnection(server.address, timeout=SECONDS_AT_MOST)
        assert status_of(connection, "/v2/", f"admin-{PLANTED}") == HTTPStatus.OK
        processes = [server.process.pid, *children_of(server.process.pid)]
        assert len(processes) >= 3
        shown = [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in processes]
        assert server.stop() == ExitCode.OK
    shown += [*server.banner, *texts_below(run)]
    assert not [text for text in shown if PLANTED in text]
