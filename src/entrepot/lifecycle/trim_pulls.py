"""Forgetting pulls that are so old that nothing asks for them."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from entrepot.metadata import Database, find_old_pulls, remove_pulls

_BATCH: Final = 1000
_KEPT_FOR: Final = timedelta(days=90)
"""How long pulls are kept at least, so that a longer ``gc.pulled_within`` finds what was pulled before it was set."""


@dataclass(frozen=True, slots=True)
class TrimPulls:
    """Forget the counts of days that ended longer ago than ``pulled_within`` and three months."""

    database: Database
    pulled_within: timedelta

    async def __call__(self) -> int:
        """How many counts were forgotten; raises Unavailable, StorageFull."""
        forgotten = 0
        kept_for = max(self.pulled_within, _KEPT_FOR)
        while old := await self.database.read(lambda tx: find_old_pulls(tx, tx.now - kept_for, _BATCH)):
            await self.database.write(partial(remove_pulls, counts=old))
            forgotten += len(old)
        return forgotten
