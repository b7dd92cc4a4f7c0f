"""Logins for which somebody else vouches: tokens of providers, and passwords of a directory."""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from entrepot.access.lru import Recent
from entrepot.access.onboarding import Onboarding
from entrepot.access.port import Clock
from entrepot.access.principals import Principal
from entrepot.access.providers import LdapDirectory, OpenIdProvider
from entrepot.access.workload_logins import WorkloadLogins
from entrepot.secrets import Secret

REMEMBERED_FOR: Final = timedelta(minutes=5)  # as for passwords of the database
REMEMBERED_AT_MOST: Final = 4096


class RememberedLogins:
    """Logins that were found good a short time ago, by a hash under a key that only this process has.

    The same credentials sent many times at once are verified once. Refusals and failures are never remembered. Belongs
    to one event loop.
    """

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._good: Recent[bytes, tuple[float, Principal]] = Recent(REMEMBERED_AT_MOST)
        self._running: dict[bytes, asyncio.Task[Principal | None]] = {}

    def remembers(self, name: str, password: Secret) -> bool:
        """Whether these credentials were found good a short time ago."""
        known = self._good.get(self._key_of(name, password))
        return known is not None and self._clock() < known[0]

    async def log_in(
        self, name: str, password: Secret, verify: Callable[[], Awaitable[Principal | None]]
    ) -> Principal | None:
        """Who has these credentials: as remembered, or as ``verify`` says; what it raises is raised."""
        key = self._key_of(name, password)
        known = self._good.get(key)
        if known is not None and self._clock() < known[0]:
            return known[1]
        running = self._running.get(key)
        if running is None:
            running = asyncio.create_task(self._verify(key, verify), name="external-login")
            self._running[key] = running
            running.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(running)

    def _finish(self, key: bytes, done: "asyncio.Task[Principal | None]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # looked at, for those who asked may have gone

    async def _verify(self, key: bytes, verify: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        principal = await verify()
        if principal is not None:
            self._good.put(key, (self._clock() + REMEMBERED_FOR.total_seconds(), principal))
        return principal

    def _key_of(self, name: str, password: Secret) -> bytes:
        content, secret = (text.encode("utf-8", "surrogatepass") for text in (name, password.reveal()))
        return hmac.digest(self._key, len(content).to_bytes(8, "big") + content + secret, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class ExternalLogins:
    """Who vouches beside the database; None where nobody does. All raise ProviderUnavailable for their own logins."""

    remembered: RememberedLogins
    openid: OpenIdProvider | None = None
    people: Onboarding | None = None
    directory: LdapDirectory | None = None
    members: Onboarding | None = None
    workloads: WorkloadLogins | None = None

    @property
    def has_directory(self) -> bool:
        """Whether there is a directory that may know names which the database does not."""
        return self.directory is not None

    def remembers(self, name: str, password: Secret) -> bool:
        """Whether the directory found these credentials good a short time ago."""
        return self.remembered.remembers(name, password)

    def knows(self, token: Secret) -> bool:
        """Whether a text looks like a token of one of the issuers; nothing is verified."""
        text = token.reveal()
        return (self.workloads is not None and self.workloads.issuers.knows(text)) or (
            self.openid is not None and self.openid.knows(text)
        )

    async def by_token(self, token: Secret, robot: str | None = None) -> Principal:
        """Who shows a token that ``knows`` knows: the robot that trusts it, or the person that it is about.

        Raises as WorkloadLogins and Onboarding do; Unauthorized for a token that is not good.
        """
        if self.workloads is not None and self.workloads.issuers.knows(token.reveal()):
            return await self.workloads(token, robot)
        assert self.openid is not None
        assert self.people is not None
        return await self.people(await self.openid.identify(token))

    async def by_password(self, name: str, password: Secret) -> Principal | None:
        """Who has this name and password in the directory; None for nobody, and without a directory."""
        directory, members = self.directory, self.members
        if directory is None or members is None:
            return None

        async def verify() -> Principal | None:
            identity = await directory.verify(name, password)
            return None if identity is None else await members(identity)

        return await self.remembered.log_in(name, password, verify)
