"""Mounting a blob from another repository (distribution spec, end-11)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from entrepot.access import Principal
from entrepot.metadata import (
    Database,
    Transaction,
    ensure_repository,
    find_readable,
    find_repository,
    link_blob,
    repositories_having,
)
from entrepot.oci import Digest, RepositoryName
from entrepot.registry.limits import UploadLimits

_CANDIDATES_AT_MOST = (
    100  # repositories asked about when the client names none; more would let a popular layer cost much
)


@dataclass(frozen=True, slots=True)
class MountBlob:
    """Link a blob that the caller may read elsewhere, without moving a byte."""

    database: Database
    limits: UploadLimits

    async def from_repository(
        self, principal: Principal, name: RepositoryName, digest: Digest, source: RepositoryName
    ) -> bool:
        """Mount from ``source``, which the caller may pull; False if the blob is not there."""

        def unit(tx: Transaction) -> bool:
            source_id = find_repository(tx, source)
            return source_id is not None and self._link(tx, principal, name, digest, [source_id])

        return await self.database.write(unit)

    async def from_anywhere(
        self,
        principal: Principal,
        name: RepositoryName,
        digest: Digest,
        readable: Callable[[RepositoryName], Awaitable[bool]],
    ) -> bool:
        """Mount from any repository that ``readable`` lets the caller pull; False if none of those has the blob."""
        having = await self.database.read(lambda tx: repositories_having(tx, digest, _CANDIDATES_AT_MOST))
        sources = [repository_id for repository_id, source in having if await readable(source)]
        if not sources:
            return False
        return await self.database.write(lambda tx: self._link(tx, principal, name, digest, sources))

    def _link(
        self, tx: Transaction, principal: Principal, name: RepositoryName, digest: Digest, source_ids: list[int]
    ) -> bool:
        blob = find_readable(tx, digest, source_ids)
        if blob is None:
            return False
        link_blob(tx, ensure_repository(tx, name, principal.actor), blob.id, digest, self.limits.lease)
        return True
