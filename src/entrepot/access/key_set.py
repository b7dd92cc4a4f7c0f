"""The keys that sign tokens as a running process knows them, read anew as they change."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self, TypeAlias

from entrepot.access.port import Clock
from entrepot.access.sealing import SealInvalid, seal, unseal
from entrepot.access.signing_key import SigningKey
from entrepot.oci import Unavailable

RELOADED_EVERY: Final = timedelta(seconds=30)
ASKED_EVERY: Final = timedelta(seconds=5)  # at most one read in this time for all key ids that nobody knows

_KID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # a SHA-256 thumbprint (RFC 7638)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TimedKey:
    """A key, from when on it signs and when its successor took over, in seconds since Unix' epoch."""

    key: SigningKey
    signs_from: float
    retired_at: float | None = None


LoadKeys: TypeAlias = Callable[[], Awaitable[Sequence[TimedKey]]]
"""Reads every key there is, at least one; raises Unavailable."""


class KeySet:
    """Which key signs, and which verify: those that do not sign yet, too, and retired ones for ``verify_for``.

    Belongs to one event loop. What cannot be read leaves the keys that are known.
    """

    def __init__(
        self,
        keys: Sequence[TimedKey],
        load: LoadKeys,
        *,
        verify_for: timedelta,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._load = load
        self._verify_for = verify_for.total_seconds()
        self._clock = clock
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._reading = asyncio.Lock()
        self._take(keys)

    @classmethod
    def of(cls, *keys: SigningKey) -> Self:
        """A set of these keys for ever; the first one signs."""
        timed = [TimedKey(key, -place) for place, key in enumerate(keys)]

        async def load() -> Sequence[TimedKey]:  # ruff: ignore[unused-async]  LoadKeys is asynchronous
            return timed

        return cls(timed, load, verify_for=timedelta(0))

    @property
    def signing(self) -> SigningKey:
        """The key to sign with now: the one that began last, or the next one where none has begun."""
        now = self._clock()
        begun = [key for key in self._keys if key.signs_from <= now]
        return (begun or self._keys[-1:])[0].key

    @property
    def verifying(self) -> list[SigningKey]:
        """Every key whose tokens count, the newest first; what is published."""
        now = self._clock()
        return [timed.key for timed in self._keys if self._verifies(timed, now)]

    def find(self, kid: str) -> SigningKey | None:
        """The key of that id, if its tokens count."""
        timed = self._by_kid.get(kid)
        return timed.key if timed is not None and self._verifies(timed, self._clock()) else None

    async def find_or_read(self, kid: str) -> SigningKey | None:
        """Likewise, and look for a new key of that id; raises Unavailable.

        However many ids strangers make up, keys are read once in ``ASKED_EVERY``.
        """
        found = self.find(kid)
        if found is not None or kid in self._by_kid or not _KID.fullmatch(kid):
            return found
        async with self._reading:
            now = self._monotonic()
            if self.find(kid) is None and now - self._asked_at >= ASKED_EVERY.total_seconds():
                self._asked_at = now
                self._take(await self._load())
        return self.find(kid)

    def seal(self, content: bytes, *, purpose: str) -> bytes:
        """Encrypt what every process over the database may open for ``purpose``, while the key of now counts."""
        return seal(content, _material(self.signing), purpose=purpose)

    def unseal(self, sealed: bytes, *, purpose: str) -> bytes:
        """Decrypt what ``seal`` made; raises SealInvalid."""
        for key in self.verifying:
            try:
                return unseal(sealed, _material(key), purpose=purpose)
            except SealInvalid as error:
                if error.detail["reason"] != "key-file":
                    raise
        raise SealInvalid(reason="key")

    async def keep_reading(self) -> None:
        """Read the keys anew from time to time, until cancelled."""
        while True:
            await asyncio.sleep(RELOADED_EVERY.total_seconds())
            try:
                self._take(await self._load())
            except Unavailable as error:
                logger.warning("signing keys not read: those that are known stay", exc_info=error)

    def _take(self, keys: Iterable[TimedKey]) -> None:
        self._keys = sorted(keys, key=lambda timed: timed.signs_from, reverse=True)
        self._by_kid = {timed.key.kid: timed for timed in self._keys}

    def _verifies(self, timed: TimedKey, now: float) -> bool:
        return timed.retired_at is None or now < timed.retired_at + self._verify_for


def _material(key: SigningKey) -> bytes:
    return key.to_jwk().reveal().encode()
