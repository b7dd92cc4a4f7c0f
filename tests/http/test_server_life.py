"""Listening, starting, working in several processes, and ending; with real processes where they are the subject."""

import json
import os
import signal
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server

from entrepot.http.connections import Connection
from entrepot.http.limits import Limits
from entrepot.http.listen_errors import ListenError
from entrepot.http.listeners import Listener, listening_socket
from entrepot.http.server import serving
from entrepot.http.tls import TLS
from entrepot.http.workers import StartupFailed
from serving.apps import application
from serving.running import eventually, program, running, start
from serving.wire import PATIENCE, Wire, connected


def test_uvicorn_is_the_version_that_the_connection_was_written_for() -> None:
    """The connection overrides inner parts of uvicorn: read it again before this pin moves."""
    assert version("uvicorn") == "0.54.0"
    overridden = {
        "_start_asgi_task",
        "connection_lost",
        "connection_made",
        "data_received",
        "on_body",
        "on_header",
        "on_headers_complete",
        "on_message_begin",
        "on_message_complete",
        "on_response_complete",
        "on_url",
    }
    assert overridden <= vars(HttpToolsProtocol).keys()
    assert overridden <= vars(Connection).keys()
    assert {"startup", "shutdown"} <= vars(Server).keys()
    assert {"startup", "shutdown", "send"} <= vars(LifespanOn).keys()
    used = {"transport", "more_body", "response_started", "response_complete", "waiting_for_100_continue"}
    assert used | {"keep_alive", "disconnected", "message_event", "body"} <= set(
        RequestResponseCycle.__init__.__code__.co_names
    )


def test_a_taken_port_is_named_with_a_free_one() -> None:
    """The error is one line that names the port and the next one that is free."""
    with listening_socket(Listener("public", "127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"^port {port} of 127.0.0.1 is in use") as refused:
            listening_socket(Listener("public", "127.0.0.1", port))
        assert refused.value.listener == "public"
        free = refused.value.free_port
        assert free is not None
        assert port < free <= port + 100
        listening_socket(Listener("public", "127.0.0.1", free)).close()


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("192.0.2.1", 0, "cannot listen on port 0 of 192.0.2.1"),
        ("no-such-host.invalid", 0, "cannot find the address of no-such-host.invalid"),
        ("127.0.0.1", 65536, "65536 is no port"),
        ("127.0.0.1", -1, "-1 is no port"),
    ],
)
def test_an_address_that_cannot_be_listened_on(host: str, port: int, message: str) -> None:
    """Addresses of other machines, unknown names and impossible ports are refused in one line."""
    with pytest.raises(ListenError, match=f"^{message}"):
        listening_socket(Listener("public", host, port))


@pytest.mark.parametrize(("host", "family"), [("", socket.AF_INET), ("localhost", socket.AF_INET)])
def test_hosts_are_looked_up(host: str, family: socket.AddressFamily) -> None:
    """No host means every IPv4 address, and a name its IPv4 address before its IPv6 one."""
    with listening_socket(Listener("public", host, 0)) as sock:
        assert sock.family == family


def test_all_of_ipv6_takes_ipv4_along() -> None:
    """A server on ``::`` is reached by both families where the machine has IPv6."""
    if not Path("/proc/net/if_inet6").exists():
        with pytest.raises(ListenError):
            listening_socket(Listener("public", "::", 0))
        return
    listener = Listener("public", "::", 0)
    limits = Limits()
    with serving(partial(application, limits), [listener], limits=limits) as [address], connected(address.port) as wire:
        wire.request("GET /hello")
        assert wire.answer().body == b"hello\n"


def test_an_application_that_does_not_start_says_why() -> None:
    """The reason comes out as StartupFailed, with the application's own error as its cause."""
    limits = Limits()
    build = partial(application, limits, failure="the database is away")
    listeners = [Listener("public", "127.0.0.1", 0)]
    with (
        pytest.raises(StartupFailed, match=r"^the database is away$") as failed,
        serving(build, listeners, limits=limits),
    ):
        pass
    assert isinstance(failed.value.__cause__, ConnectionError)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_program_whose_application_does_not_start_ends(tmp_path: Path, workers: str) -> None:
    """With or without worker processes the failure ends the program, and its text is there to read."""
    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as errors:
        process = start("--workers", workers, "--failure", "the database is away", errors=errors)
    told, _ = process.communicate(timeout=PATIENCE)
    assert (told, process.returncode) == ("", 1)
    assert "StartupFailed: the database is away" in log.read_text(encoding="utf-8")


def pids_of(port: int, count: int) -> set[int]:
    """The processes that answer on a port; waits until there are so many."""
    seen: set[int] = set()

    def enough() -> bool:
        with suppress(ConnectionError, EOFError), connected(port) as wire:
            wire.request("GET /echo", "Connection: close")
            seen.add(int(json.loads(wire.answer().body)["pid"]))
        return len(seen) >= count

    eventually(enough)
    return seen


def hellos_counted(port: int) -> float:
    """How many requests for /hello the numbers tell of, over all workers."""
    with connected(port) as wire:
        wire.request("GET /metrics", "Connection: close")
        text = wire.answer().body.decode()
    found = [
        line for line in text.splitlines() if line.startswith('entrepot_http_requests_total{code="200",method="GET"')
    ]
    return sum(float(line.rpartition(" ")[2]) for line in found if 'route="/hello"' in line)


def test_numbers_are_those_of_all_workers(tmp_path: Path) -> None:
    """Whichever worker is asked adds up what all have counted, also one that has died since."""
    with program(tmp_path, "--workers", "2") as server:
        pids = pids_of(server.ports.public, 2)
        for _ in range(40):
            with connected(server.ports.public) as wire:
                wire.request("GET /hello")
                assert wire.answer().status == 200
        eventually(lambda: hellos_counted(server.ports.operations) == 40)
        os.kill(min(pids), signal.SIGKILL)
        pids_of(server.ports.public, 2)
        eventually(lambda: hellos_counted(server.ports.operations) == 40)
        server.stop()
        assert server.process.wait(timeout=PATIENCE) == 0


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    return False


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """When the parent is killed its workers stop by themselves and let go of the port."""
    with program(tmp_path, "--workers", "2") as server:
        pids = pids_of(server.ports.public, 2)
        server.process.kill()
        server.process.wait(timeout=PATIENCE)
        eventually(lambda: not any(map(is_running, pids)))


def test_a_stop_with_workers_lets_running_requests_finish(tmp_path: Path) -> None:
    """SIGTERM to the parent refuses new connections and answers running requests before it ends with 0."""
    with program(tmp_path, "--workers", "2") as server, connected(server.ports.public) as wire:
        wire.request("GET /wait?seconds=1")
        eventually(lambda: _in_flight(server.ports.operations) == 2)
        server.stop()
        assert wire.answer().body == b"done\n"
        assert server.process.wait(timeout=PATIENCE) == 0


def test_a_request_at_the_end_of_the_grace_period_is_told_to_come_back(tmp_path: Path) -> None:
    """A request that is cancelled is answered 503, and the log says that it was."""
    with program(tmp_path, "--graceful-seconds", "0.5") as server:
        with connected(server.ports.public) as wire:
            wire.request("GET /wait?seconds=60")
            eventually(lambda: _in_flight(server.ports.operations) == 2)
            server.stop()
            answer = wire.answer()
            assert (answer.status, answer.code, answer.headers["connection"]) == (503, "UNAVAILABLE", "close")
        assert server.process.wait(timeout=PATIENCE) == 0
        assert [line for line in server.log_lines() if line.get("status") == 503]


def _in_flight(port: int) -> float:
    with connected(port) as wire:
        wire.request("GET /metrics")
        text = wire.answer().body.decode()
    return float(text.partition("\nentrepot_http_requests_in_flight ")[2].split("\n")[0])


def test_logs_of_a_program_are_json(tmp_path: Path) -> None:
    """Every line on standard error is one JSON object with time, level and logger, uvicorn's own too."""
    with program(tmp_path) as server:
        with connected(server.ports.public) as wire:
            wire.request("GET /fail?password=hunter2", "Authorization: Bearer hunter3")
            assert wire.answer().status == 500
        server.stop()
        server.process.wait(timeout=PATIENCE)
        lines = server.log_lines()
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert {"entrepot.access", "entrepot.http.errors", "uvicorn.error"} <= {line["logger"] for line in lines}
    assert "hunter3" not in json.dumps(lines)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TLS:
    """A certificate of localhost that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TLS(folder / "tls.crt", folder / "tls.key")


def test_tls_is_for_the_listener_that_has_it(certificate: TLS) -> None:
    """The public listener speaks TLS 1.2 or newer, and the operations one stays plain."""
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    with running(tls=certificate) as ports:
        with connected(ports.public, tls=trusting) as wire:
            wire.request("GET /echo")
            assert json.loads(wire.answer().body)["scheme"] == "https"
            assert isinstance(wire.sock, ssl.SSLSocket)
            assert wire.sock.version() in {"TLSv1.2", "TLSv1.3"}
        with connected(ports.operations) as wire:
            wire.request("GET /healthz")
            assert wire.answer().status == 200


def test_an_early_refusal_over_tls_is_seen(certificate: TLS) -> None:
    """Over TLS, too, the sender of a large body that was refused sees the answer."""
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    with running(tls=certificate) as ports, connected(ports.public, tls=trusting) as wire:
        wire.request("PUT /refuse", f"Content-Length: {16 << 20}")
        _send_megabytes(wire, 16)
        assert wire.answer().status == 401


def _send_megabytes(wire: Wire, count: int) -> None:
    for _ in range(count):
        wire.send(b"x" * (1 << 20))


@pytest.mark.parametrize("handshake", [True, False])
def test_a_silent_tls_connection_is_closed(certificate: TLS, handshake: bool) -> None:
    """Whether it says nothing before or after the handshake, it is closed in the time for headers."""
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    limits = Limits(header_time=timedelta(seconds=0.5))
    with running(limits, tls=certificate) as ports:
        with connected(ports.public, tls=trusting if handshake else None) as wire:
            assert wire.read_to_end() == b""
        with connected(ports.public, tls=trusting) as wire:
            wire.request("GET /hello")
            assert wire.answer().status == 200


def test_a_certificate_that_is_none_is_refused(tmp_path: Path, certificate: TLS) -> None:
    """A missing file, or a key that is not the certificate's, is one line that names both."""
    for broken in (TLS(tmp_path / "missing", certificate.key), TLS(certificate.certificate, certificate.certificate)):
        with pytest.raises(ListenError, match=r"^cannot use the certificate"):
            broken.load()
