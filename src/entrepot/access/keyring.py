"""The keys that sign tokens, kept in the database so that every process knows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrepot.access.key_set import KeySet, TimedKey
from entrepot.access.sealing import SealInvalid, is_sealed, seal, unseal
from entrepot.access.signing_key import SigningKey
from entrepot.metadata import (
    Database,
    StoredKey,
    Transaction,
    add_first_signing_key,
    add_next_signing_key,
    list_signing_keys,
    lock_signing_keys,
    remove_signing_keys,
)
from entrepot.secrets import Secret

OVERLAP: Final = timedelta(hours=1)
"""From when a key is published until it signs: longer than any process or reader of the key set remembers the last."""

_PURPOSE = "token-signing-key"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: the key that was made and when it begins to sign, and the keys that were forgotten."""

    made: str | None = None
    signs_from: datetime | None = None
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keyring:
    """Stores keys, sealed with the bytes of ``key_file`` if there are any.

    A retired key counts for ``verify_for``, then it is forgotten. Every method raises SealInvalid for the wrong key
    file, or none where one was used; Unavailable.
    """

    database: Database
    key_file: bytes | None
    verify_for: timedelta

    async def open(self) -> KeySet:
        """The keys for a process that serves; the first start makes one."""
        return KeySet(await self.load(), self.load, verify_for=self.verify_for)

    async def load(self) -> Sequence[TimedKey]:
        """Every key, newest first, at least one."""
        stored = await self.database.read(list_signing_keys) or await self._first()
        return [self._opened(one) for one in stored]

    async def rotate(self, every: timedelta) -> Rotation:
        """Make the next key if the newest has signed for ``every`` less the overlap, and forget those that are over.

        Of several that rotate at once, one makes a key.
        """
        fresh = SigningKey.generate()
        sealed = self._sealed(fresh)

        def unit(tx: Transaction) -> Rotation:
            lock_signing_keys(tx)
            forgotten = tuple(remove_signing_keys(tx, tx.now - self.verify_for))
            newest = list_signing_keys(tx)[:1]
            if newest and max(newest[0].created_at, newest[0].signs_from) + every - OVERLAP > tx.now:
                return Rotation(forgotten=forgotten)
            return Rotation(fresh.kid, add_next_signing_key(tx, fresh.kid, sealed, OVERLAP), forgotten)

        return await self.database.write(unit)

    async def replace(self) -> Rotation:
        """Put a new key in place of all others, whose tokens end: for when one has become known.

        Every process follows within ``RELOADED_EVERY``.
        """
        fresh = SigningKey.generate()
        sealed = self._sealed(fresh)

        def unit(tx: Transaction) -> Rotation:
            lock_signing_keys(tx)
            signs_from = add_next_signing_key(tx, fresh.kid, sealed, timedelta(0))
            forgotten = remove_signing_keys(tx, datetime.max.replace(tzinfo=tx.now.tzinfo))
            return Rotation(fresh.kid, signs_from, tuple(forgotten))

        return await self.database.write(unit)

    async def _first(self) -> list[StoredKey]:
        fresh = SigningKey.generate()
        sealed = self._sealed(fresh)

        def unit(tx: Transaction) -> list[StoredKey]:
            add_first_signing_key(tx, fresh.kid, sealed)
            return list_signing_keys(tx)

        return await self.database.write(unit)

    def _sealed(self, key: SigningKey) -> bytes:
        content = key.to_jwk().reveal().encode()
        return content if self.key_file is None else seal(content, self.key_file, purpose=_PURPOSE)

    def _opened(self, stored: StoredKey) -> TimedKey:
        content = stored.sealed
        if is_sealed(content):
            if self.key_file is None:
                raise SealInvalid(reason="key-file-missing")
            content = unseal(content, self.key_file, purpose=_PURPOSE)
        retired_at = None if stored.retired_at is None else stored.retired_at.timestamp()
        return TimedKey(SigningKey.from_jwk(Secret(content.decode())), stored.signs_from.timestamp(), retired_at)
