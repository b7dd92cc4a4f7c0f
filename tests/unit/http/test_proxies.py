"""Which address and scheme a request came with, seen through proxies."""

from ipaddress import ip_network
from typing import Any

import pytest

from entrepot.http.proxies import TrustedProxies

TRUSTED = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


def seen(peer: str | None, *headers: tuple[str, str], proxies: TrustedProxies = TRUSTED) -> tuple[str | None, str]:
    """The client's address and the scheme of a plain connection from ``peer`` with these headers."""
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "client": None if peer is None else (peer, 1234),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    found = proxies.seen_through(scope)
    client = found["client"]
    return None if client is None else client[0], found["scheme"]


FOR = "x-forwarded-for"
PROTO = "x-forwarded-proto"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "192.0.2.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("fd00::1", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
    ],
)
def test_the_client_is_the_rightmost_that_is_not_trusted(peer: str, forwarded: str, client: str) -> None:
    """What a client writes itself stands to the left of what a trusted proxy saw, and is not believed."""
    assert seen(peer, (FOR, forwarded))[0] == client


def test_several_header_lines_are_one_list() -> None:
    """A proxy that adds a line of its own is read like one that appends."""
    assert seen("10.0.0.1", (FOR, "203.0.113.9"), (FOR, "192.0.2.7"))[0] == "192.0.2.7"


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "http, https", "https"),
        ("10.0.0.1", "javascript", "http"),
        ("192.0.2.1", "https", "http"),
    ],
)
def test_the_scheme_is_the_trusted_proxy_s(peer: str, proto: str, scheme: str) -> None:
    """Only a trusted proxy says that the client came by TLS, and only schemes of the web count."""
    assert seen(peer, (PROTO, proto))[1] == scheme


def test_nobody_is_trusted_by_default() -> None:
    """Without configuration the headers mean nothing."""
    found = seen("127.0.0.1", (FOR, "192.0.2.7"), (PROTO, "https"), proxies=TrustedProxies())
    assert found == ("127.0.0.1", "http")


def test_a_connection_without_an_address_is_left_alone() -> None:
    """A server on a local socket knows no address, and none is made up."""
    assert seen(None, (FOR, "192.0.2.7")) == (None, "http")
