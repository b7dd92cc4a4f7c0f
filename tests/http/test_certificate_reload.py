"""Certificates that change while the server serves, with real handshakes."""

import hashlib
import json
import os
import shutil
import ssl
import threading
from collections.abc import Generator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from entrepot.http.listen_errors import ListenError
from entrepot.http.tls import TLS
from harness.certificates import Certificates, make_certificates
from serving.running import Ports, eventually, program, running
from serving.wire import connected

SOON = timedelta(milliseconds=50)
"""How often the files are looked at here."""


def generation(folder: Path, name: str) -> Certificates:
    """A certificate with an authority of its own."""
    (folder / name).mkdir()
    return make_certificates(folder / name, "localhost")


def put(made: Certificates, served: Certificates) -> None:
    """Put a pair where the server looks, in two steps as every tool does."""
    for source, target in ((made.certificate, served.certificate), (made.key, served.key)):
        fresh = target.with_suffix(".new")
        shutil.copy(source, fresh)
        fresh.replace(target)


def fingerprint(made: Certificates) -> str:
    """What tells which certificate it is."""
    der = x509.load_pem_x509_certificate(made.certificate.read_bytes()).public_bytes(Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def trusting(made: Certificates) -> ssl.SSLContext:
    """A client that trusts this authority."""
    return ssl.create_default_context(cafile=made.authority)


def looking() -> ssl.SSLContext:
    """A client that takes any certificate, to see which it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def served_at(port: int, context: ssl.SSLContext) -> tuple[str, int]:
    """Which certificate a new connection gets, and from which process."""
    with connected(port, tls=context) as wire:
        assert isinstance(wire.sock, ssl.SSLSocket)
        der = wire.sock.getpeercert(binary_form=True)
        assert der is not None
        wire.request("GET /echo", "Connection: close")
        return hashlib.sha256(der).hexdigest(), int(json.loads(wire.answer().body)["pid"])


def number(port: int, name: str) -> float | None:
    """One number of the operations address; None while it is not there."""
    with connected(port) as wire:
        wire.request("GET /metrics", "Connection: close")
        lines = wire.answer().body.decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), None)


REFUSED = 'entrepot_tls_reloads_total{listener="public",outcome="refused"}'
SERVED = 'entrepot_tls_reloads_total{listener="public",outcome="served"}'


@pytest.fixture
def old(tmp_path: Path) -> Certificates:
    """What is served at first."""
    return generation(tmp_path, "old")


@pytest.fixture
def new(tmp_path: Path) -> Certificates:
    """What comes in its place."""
    return generation(tmp_path, "new")


@pytest.fixture
def served(tmp_path: Path, old: Certificates) -> Certificates:
    """The files that the server reads."""
    return Certificates(*(Path(shutil.copy(path, tmp_path)) for path in (old.authority, old.certificate, old.key)))


@pytest.fixture
def ports(served: Certificates) -> Generator[Ports, None, None]:
    """A server in this process that looks at its files often."""
    with running(tls=TLS(served.certificate, served.key, check_every=SOON)) as ports:
        yield ports


class Load:
    """Clients that open connection after connection, and note which process served which certificate last."""

    def __init__(self, port: int) -> None:
        self.last: dict[int, str] = {}
        self.failures: list[str] = []
        self.count = 0
        self._port = port
        self._context = looking()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                found, pid = served_at(self._port, self._context)
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
            else:
                self.last[pid] = found
                self.count += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_every_worker_serves_the_new_certificate_and_no_connection_fails(
    tmp_path: Path, old: Certificates, new: Certificates, served: Certificates
) -> None:
    """Under load two workers change over, back and forth, without one failure; an open connection goes on."""
    flags = ("--workers", "2", "--certificate", str(served.certificate), "--key", str(served.key))
    with (
        program(tmp_path, *flags) as server,
        connected(server.ports.public, tls=looking()) as long_lived,
        Load(server.ports.public) as load,
    ):
        for current in (new, old, new):
            put(current, served)
            everywhere = [fingerprint(current)] * 2
            eventually(lambda wanted=everywhere: list(load.last.values()) == wanted)  # type: ignore[misc]
        long_lived.request("GET /hello")
        assert long_lived.answer().body == b"hello\n"
    assert load.failures == []
    assert load.count > 20


@pytest.mark.parametrize("breakage", ["half", "other key", "empty", "gone"])
def test_a_broken_pair_changes_nothing(
    breakage: str, old: Certificates, new: Certificates, served: Certificates, ports: Ports
) -> None:
    """What cannot be used is counted once and the old certificate stays; what comes after it is taken."""
    match breakage:
        case "half":
            content = new.certificate.read_bytes()
            served.certificate.write_bytes(content[: len(content) // 2])
        case "other key":
            shutil.copy(new.certificate, served.certificate)
        case "empty":
            served.key.write_bytes(b"")
        case _:
            served.certificate.unlink()
    eventually(lambda: number(ports.operations, REFUSED) == 1)

    assert served_at(ports.public, trusting(old))[0] == fingerprint(old)

    put(new, served)
    eventually(lambda: number(ports.operations, SERVED) == 1)
    assert served_at(ports.public, trusting(new))[0] == fingerprint(new)


def test_the_log_says_why_a_pair_is_of_no_use(tmp_path: Path, new: Certificates, served: Certificates) -> None:
    """One line names the files and the reason."""
    flags = ("--certificate", str(served.certificate), "--key", str(served.key))
    with program(tmp_path, *flags) as server:
        shutil.copy(new.certificate, served.certificate)
        eventually(lambda: number(server.ports.operations, REFUSED) == 1)
        (line,) = [line for line in server.log_lines() if "certificate" in line["message"]]
    assert line["level"] == "warning"
    assert line["message"] == "the changed certificate is of no use, the one before is kept"
    assert str(served.certificate) in line["reason"]
    assert line["reason"].endswith("the key belongs to another certificate")


def test_the_end_of_the_certificate_is_a_number(
    old: Certificates, new: Certificates, served: Certificates, ports: Ports
) -> None:
    """The gauge is the certificate's own end in Unix time, also after a change; a plain listener has none."""
    gauge = 'entrepot_tls_certificate_expiry_seconds{listener="public"}'
    ends = [x509.load_pem_x509_certificate(made.certificate.read_bytes()).not_valid_after_utc for made in (old, new)]

    first = number(ports.operations, gauge)
    put(new, served)
    eventually(lambda: number(ports.operations, SERVED) == 1)

    assert first == ends[0].timestamp()
    assert number(ports.operations, gauge) == ends[1].timestamp()
    assert number(ports.operations, 'entrepot_tls_certificate_expiry_seconds{listener="operations"}') is None


def test_a_changed_link_is_noticed(tmp_path: Path, old: Certificates, new: Certificates) -> None:
    """Files behind a link that is moved in one step, as Kubernetes mounts secrets, are taken when the link moves."""
    link = tmp_path / "current"
    link.symlink_to(old.certificate.parent)
    tls = TLS(link / old.certificate.name, link / old.key.name, check_every=SOON)
    with running(tls=tls) as ports:
        (tmp_path / "next").symlink_to(new.certificate.parent)
        (tmp_path / "next").replace(link)
        eventually(lambda: number(ports.operations, SERVED) == 1)
        assert served_at(ports.public, trusting(new))[0] == fingerprint(new)


def test_old_protocol_versions_are_refused(old: Certificates, ports: Ports) -> None:
    """A client that speaks no more than TLS 1.1 gets no handshake, one of TLS 1.2 does."""
    context = trusting(old)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(ports.public, tls=context) as wire:
        assert isinstance(wire.sock, ssl.SSLSocket)
        assert wire.sock.version() == "TLSv1.2"
    context = trusting(old)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|EOF"), connected(ports.public, tls=context):
        pass


def test_a_server_does_not_start_with_a_pair_that_does_not_fit(old: Certificates, new: Certificates) -> None:
    """At the start there is nothing to fall back to, so it is an error that says what is wrong."""
    broken = TLS(old.certificate, new.key)
    with pytest.raises(ListenError, match=r"the key belongs to another certificate$"), running(tls=broken):
        pass


def test_many_changes_leave_no_open_files(served: Certificates, old: Certificates, ports: Ports) -> None:
    """Each change opens the socket again and closes it as often."""
    before = len(os.listdir("/proc/self/fd"))  # ruff: ignore[os-listdir]  names of descriptors
    for times in range(1, 6):
        with suppress(FileNotFoundError):
            os.utime(served.certificate)
        eventually(lambda wanted=times: number(ports.operations, SERVED) == wanted)  # type: ignore[misc]
    served_at(ports.public, trusting(old))
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)  # ruff: ignore[os-listdir]  names of descriptors
