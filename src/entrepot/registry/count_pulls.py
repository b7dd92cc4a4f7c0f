"""Counting pulls of manifests in memory, so that a pull itself writes nothing."""

import asyncio
import logging
from collections import Counter
from datetime import timedelta

from entrepot.metadata import Database, ManifestKey, Pulled, RepositoryKey, record_pulls
from entrepot.oci import Reference, Tag

logger = logging.getLogger(__name__)

_INTERVAL = timedelta(seconds=15)  # what a crash may forget
_KINDS_AT_MOST = 10_000  # different manifests and tags that wait to be written; more are written at once


class CountPulls:
    """Counts of this process, written every 15 seconds and at the end.

    Belongs to one event loop. When the database does not take them they are kept for the next time, up to ten thousand
    different ones: counts are worth no pull that fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[Pulled] = Counter()
        self._full = asyncio.Event()

    def saw(self, repository: RepositoryKey, manifest: ManifestKey, reference: Reference) -> None:
        """Count one pull."""
        tag = reference.text if isinstance(reference, Tag) else ""
        pulled = Pulled(repository.id, manifest.digest, tag)
        if pulled in self._counts or len(self._counts) < _KINDS_AT_MOST:
            self._counts[pulled] += 1
        else:
            self._full.set()

    async def keep_writing(self) -> None:
        """Write what was counted, again and again, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_INTERVAL.total_seconds()):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            await self.write()

    async def write(self) -> None:
        """Write what was counted so far."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            await self._database.write(lambda tx: record_pulls(tx, counts))
        except Exception as failure:
            logger.warning("pulls are not counted yet", exc_info=failure, extra={"pulls": counts.total()})
            self._counts.update(counts)
        except BaseException:
            self._counts.update(counts)  # for the last write, when this one is cancelled
            raise
