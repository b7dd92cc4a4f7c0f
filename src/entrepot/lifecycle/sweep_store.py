"""Finding objects in the store that no row knows, such as a restored database leaves behind."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from entrepot.lifecycle.policy import Policy
from entrepot.metadata import Database, bury_unknown, unknown_keys
from entrepot.storage import BlobStore, ObjectUnknown

_BATCH = 500
_FEW = 10  # unknown objects that are swept whatever their share


class SweepRefused(Exception):
    """Most objects in the store are unknown to the database."""

    def __init__(self, seen: int, unknown: int) -> None:
        super().__init__(
            f"{unknown} of {seen} objects in the store are unknown to the database: is it the right one? "
            "If it is, delete them with: entrepot gc run --sweep --force"
        )


@dataclass(frozen=True, slots=True)
class SweepStore:
    """Compare all objects with the rows; unknown ones are deleted after a time of grace.

    The store is listed first and the database asked afterwards: a key is recorded before its first byte, so what the
    database does not know then it will never know.
    """

    database: Database
    store: BlobStore
    policy: Policy

    async def __call__(self, *, force: bool = False) -> tuple[int, int]:
        """How many objects were looked at and how many were unknown; raises StoreUnavailable, Unavailable.

        Raises SweepRefused, and records nothing, when most objects are unknown, unless forced: then the database is
        more likely the wrong one.
        """
        seen = unknown = 0
        async with aclosing(self._unknown_keys()) as batches:
            async for looked_at, found in batches:
                seen += looked_at
                unknown += len(found)
        if not force and unknown > _FEW and unknown * 2 > seen:
            raise SweepRefused(seen, unknown)
        recorded = 0
        async with aclosing(self._unknown_keys()) as batches:
            async for _, found in batches:
                recorded += await self._bury(found)
        return seen, recorded

    async def _unknown_keys(self) -> AsyncGenerator[tuple[int, set[str]]]:
        """Batches of objects: how many, and the keys of the unknown ones."""
        keys: list[str] = []
        async with aclosing(self.store.keys()) as listing:
            async for key in listing:
                keys.append(key)
                if len(keys) == _BATCH:
                    yield len(keys), await self._compare(keys)  # ruff: ignore[yield-in-context-manager-in-async-generator]  whoever stops early closes this one
                    keys = []
        yield len(keys), await self._compare(keys)

    async def _compare(self, keys: list[str]) -> set[str]:
        return await self.database.read(lambda tx: unknown_keys(tx, keys)) if keys else set()

    async def _bury(self, keys: set[str]) -> int:
        sizes: dict[str, int] = {}
        for key in keys:
            with suppress(ObjectUnknown):
                sizes[key] = await self.store.size(key)
        if sizes:
            await self.database.write(lambda tx: bury_unknown(tx, sizes, tx.now + self.policy.unknown_after))
        return len(sizes)
