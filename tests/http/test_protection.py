"""What the server says to browsers, and the way from plain HTTP to TLS."""

import re
import ssl
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from harness.certificates import Certificates, make_certificates
from harness.ports import free_port
from harness.registry import LiveRegistry, running_registry
from serving.wire import connected


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What the server shows."""
    return make_certificates(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture(scope="module")
def redirect_port() -> int:
    """Where plain HTTP is answered."""
    return free_port()


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, server: Certificates, redirect_port: int
) -> Generator[LiveRegistry, None, None]:
    """A registry with TLS and a redirect."""
    flags = (
        *server.flags(),
        "--listen",
        f"127.0.0.1:{free_port()}",
        "--tls-redirect-listen",
        f"127.0.0.1:{redirect_port}",
    )
    environment = {"ENTREPOT_TLS__HSTS": "30d"}
    with running_registry(tmp_path_factory.mktemp("tls"), *flags, environment=environment) as started:
        yield started


@pytest.mark.parametrize("path", ["/v2/", "/v2/a/blobs/x", "/nowhere", "/healthz", "/api/v1/users", "/token?scope=x"])
def test_every_answer_protects_browsers(registry: LiveRegistry, server: Certificates, path: str) -> None:
    """Content is never guessed, run or framed, and over TLS they are told to come back so."""
    context = ssl.create_default_context(cafile=server.authority)
    headers = httpx.get(f"{registry.url}{path}", verify=context).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["strict-transport-security"] == "max-age=2592000"
    assert all(len(headers.get_list(name)) == 1 for name in set(headers))


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_methods_that_nothing_here_needs(registry: LiveRegistry, server: Certificates, method: str) -> None:
    """They are refused, and nothing of the request is sent back."""
    context = ssl.create_default_context(cafile=server.authority)
    port = int(registry.address.rpartition(":")[2])
    with connected(port, tls=context) as wire:
        wire.request(f"{method} /v2/", "X-Planted: secret", "Connection: close")
        answer = wire.answer()
    assert answer.status in {400, 405}
    assert b"secret" not in answer.body


def test_plain_http_is_sent_to_tls(registry: LiveRegistry, redirect_port: int) -> None:
    """The same path and query over TLS, with a status that keeps the method."""
    answer = httpx.put(f"http://127.0.0.1:{redirect_port}/v2/a/b?c=%2F&d=1", follow_redirects=False)
    assert answer.status_code == 308
    port = registry.address.rpartition(":")[2]
    assert answer.headers["location"] == f"https://127.0.0.1:{port}/v2/a/b?c=%2F&d=1"
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    "target",
    ["/a b", "//elsewhere.example/", "/%0d%0aSet-Cookie:x", "/\\elsewhere", "http://elsewhere.example/x", "/\x7f"],
)
def test_a_redirect_leads_nowhere_else(redirect_port: int, registry: LiveRegistry, target: str) -> None:
    """Whatever the target is, the address is the registry's, in one line."""
    with connected(redirect_port) as wire:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n".encode())
        answer = wire.answer()
    assert answer.status in {308, 400}
    if answer.status == 308:
        location = answer.headers["location"]
        assert re.fullmatch(r"https://registry:\d+/[!-~]*", location)


def test_a_redirect_without_a_host_is_refused(redirect_port: int, registry: LiveRegistry) -> None:
    """There is no address to send it to."""
    with connected(redirect_port) as wire:
        wire.send(b"GET / HTTP/1.0\r\n\r\n")
        assert wire.answer().status == 400


def test_settings_of_tls_go_with_tls(tmp_path: Path) -> None:
    """A redirect or a client authority without a certificate is a mistake that is told."""
    with (
        pytest.raises(pytest.fail.Exception, match=r"is of use only with tls\.certificate"),
        running_registry(tmp_path, "--tls-redirect-listen", "127.0.0.1:0"),
    ):
        pass
