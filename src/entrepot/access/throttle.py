"""Guessing passwords takes longer and longer, at every process of the registry together."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from entrepot.metadata import Database, add_login_failure, find_login_failures, forget_login_failures
from entrepot.oci import TooManyRequests

FREE_FAILURES = 10
"""Wrong passwords of one account from one address that cost no wait: people mistype, and scripts try a few times."""

WINDOW = timedelta(minutes=15)
"""How long a failure counts after the last one, and the longest wait."""

_IPV6_NETWORK_BITS = 64  # what one customer has at least


@dataclass(frozen=True, slots=True)
class DatabaseThrottle:
    """Counts *wrong passwords* by account and address together, known accounts and unknown ones alike.

    So a stranger elsewhere keeps nobody out. Successes are never counted, nor what cannot be guessed: tokens, robots'
    secrets, pulls. Each failure beyond the free ones doubles the wait, from one second to the window.
    """

    database: Database

    async def admit(self, name: str, address: str) -> bool:
        """Let a password be tried, and say whether some have gone wrong before.

        Raises TooManyRequests with ``retry_after`` in seconds while that has to wait, Unavailable.
        """
        key = _key(name, address)
        found = await self.database.read(lambda tx: find_login_failures(tx, key, WINDOW))
        if found is None:
            return False
        surplus = found.count - FREE_FAILURES
        if surplus >= 0:
            wait = min(timedelta(seconds=2.0 ** min(surplus, 20)), WINDOW)
            left = (found.last_at + wait - found.now).total_seconds()
            if left > 0:
                raise TooManyRequests(reason="logins", retry_after=ceil(left))
        return True

    async def failed(self, name: str, address: str) -> None:
        """Count a wrong password; raises Unavailable, StorageFull."""
        key = _key(name, address)
        await self.database.write(lambda tx: add_login_failure(tx, key, WINDOW))

    async def succeeded(self, name: str, address: str) -> None:
        """Begin to count anew; raises Unavailable, StorageFull."""
        key = _key(name, address)
        await self.database.write(lambda tx: forget_login_failures(tx, key))


def _key(name: str, address: str) -> bytes:
    """A hash of both, so that no names lie in that table."""
    content = f"{_network(address)}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).digest()


def _network(address: str) -> str:
    """The address, or of IPv6 the network that one customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
