"""Finding objects in the store that no row knows, such as a restored database leaves behind."""

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from entrepot.lifecycle.policy import Policy
from entrepot.metadata import Database, Transaction, bury_unknown, unknown_keys
from entrepot.storage import BlobStore, ObjectUnknown

_BATCH = 500


@dataclass(frozen=True, slots=True)
class SweepStore:
    """Compare all objects with the rows; unknown ones are deleted after a time of grace.

    The store is listed first and the database asked afterwards: a key is recorded before its first byte, so what the
    database does not know then it will never know.
    """

    database: Database
    store: BlobStore
    policy: Policy

    async def __call__(self) -> tuple[int, int]:
        """How many objects were looked at and how many were unknown; raises StoreUnavailable, Unavailable."""
        seen = found = 0
        keys: list[str] = []
        async with aclosing(self.store.keys()) as listing:
            async for key in listing:
                keys.append(key)
                if len(keys) == _BATCH:
                    seen += len(keys)
                    found += await self._compare(keys)
                    keys = []
        return seen + len(keys), found + await self._compare(keys)

    async def _compare(self, keys: list[str]) -> int:
        if not keys:
            return 0
        unknown = await self.database.read(lambda tx: unknown_keys(tx, keys))
        sizes: dict[str, int] = {}
        for key in unknown:
            try:
                sizes[key] = await self.store.size(key)
            except ObjectUnknown:
                continue
        if sizes:
            await self.database.write(partial(self._bury, sizes=sizes))
        return len(sizes)

    def _bury(self, tx: Transaction, sizes: dict[str, int]) -> None:
        bury_unknown(tx, sizes, tx.now + self.policy.unknown_after)
