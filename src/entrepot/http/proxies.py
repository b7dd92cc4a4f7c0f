"""Which proxies are believed when they say whom they speak for."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed; none by default."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def seen_through(self, scope: Scope) -> Scope:
        """The scope with the client's address and scheme as the nearest trusted proxies report them.

        The address is the right-most one that is no trusted proxy: what stands left of it may be made up.
        """
        client = scope.get("client")
        peer = _address(client[0]) if client and self.networks else None
        if peer is None or not self._trusts(peer):
            return scope
        headers = Headers(scope=scope)
        scheme = ",".join(headers.getlist("x-forwarded-proto")).rpartition(",")[2].strip().lower()
        if scheme in {"http", "https"}:
            scope["scheme"] = scheme
        for hop in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            address = _address(hop.strip())
            if address is None:
                break
            peer = address
            if not self._trusts(address):
                break
        scope["client"] = (str(peer), 0)
        return scope

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.networks)


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from, behind the proxies that are trusted; empty for a socket that has no address."""
    return connection.client.host if connection.client else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also in the forms ``1.2.3.4:567`` and ``[::1]:567``; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address
