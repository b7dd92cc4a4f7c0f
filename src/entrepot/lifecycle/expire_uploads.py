"""Ending upload sessions whose time is over."""

from dataclasses import dataclass
from datetime import timedelta

from entrepot.lifecycle.clock import Clock
from entrepot.metadata import Database, Transaction, bury_objects, expired_sessions, remove_session
from entrepot.registry import LATE_WRITER

_BATCH = 100


@dataclass(frozen=True, slots=True)
class ExpireUploads:
    """Remove expired sessions; what they had stored is deleted."""

    database: Database
    clock: Clock

    async def __call__(self) -> int:
        """Remove up to a batch and say how many; raises Unavailable, StorageFull."""
        return await self.database.write(self._expire)

    def _expire(self, tx: Transaction) -> int:
        expired = expired_sessions(tx, self.clock.steady(tx.now), _BATCH)
        for session, repository in expired:
            delete_after = tx.now + (LATE_WRITER if session.writing else timedelta(0))
            bury_objects(tx, session.objects, delete_after, repository)
            remove_session(tx, session)
        return len(expired)
