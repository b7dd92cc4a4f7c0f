"""Deleting a whole repository, with a plan first."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta

from entrepot.metadata import (
    Actor,
    Database,
    ForeignKeyViolation,
    RepositoryContent,
    Transaction,
    begin_removal,
    links_of,
    lock_repository,
    manifests_of,
    record_audit,
    remove_links,
    remove_manifests,
    remove_repository,
    remove_sessions_of,
    remove_tags_of,
    repository_content,
)
from entrepot.oci import NameUnknown, RepositoryName
from entrepot.registry import LATE_WRITER

_BATCH = 100
_ROUNDS = 20  # nobody begins a push by now, so each round meets fewer


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """What would go; ``content.own_size`` bytes come back once the collection has passed."""

    name: RepositoryName
    content: RepositoryContent


@dataclass(frozen=True, slots=True)
class DeleteRepository:
    """Take a repository away with all its tags, manifests and uploads.

    It is hidden from everybody in the first step and emptied in further ones; after a crash in between, the same
    deletion again goes on where the first one stopped. Blobs that no other repository has are collected.
    """

    database: Database

    async def plan(self, name: RepositoryName) -> RepositoryPlan:
        """What the deletion would take away; raises NameUnknown."""
        content = await self.database.read(lambda tx: repository_content(tx, name))
        if content is None:
            raise NameUnknown(name=name.text)
        return RepositoryPlan(name, content)

    async def __call__(self, actor: Actor, name: RepositoryName) -> RepositoryPlan:
        """Delete, and say what there was; raises NameUnknown."""
        plan = await self.plan(name)
        number = plan.content.id

        def begin(tx: Transaction) -> None:
            begin_removal(tx, number)
            remove_tags_of(tx, number)
            remove_sessions_of(tx, number, name.text, LATE_WRITER)
            record_audit(tx, actor, "repository.delete", name.text, "")

        await self.database.write(begin)
        for _ in range(_ROUNDS):
            with contextlib.suppress(ForeignKeyViolation):  # a push that had begun before has just ended
                await self._empty(number, name)
                return plan
            await self.database.write(lambda tx: remove_tags_of(tx, number))
        await self._empty(number, name)
        return plan

    async def _empty(self, number: int, name: RepositoryName) -> None:
        while await self.database.write(lambda tx: _remove_manifests(tx, number)):
            pass
        while await self.database.write(lambda tx: _remove_links(tx, number)):
            pass
        await self.database.write(lambda tx: _end(tx, number, name))


def _remove_manifests(tx: Transaction, repository_id: int) -> int:
    ids = manifests_of(tx, repository_id, _BATCH)
    if ids:
        remove_manifests(tx, ids, timedelta(0))
    return len(ids)


def _remove_links(tx: Transaction, repository_id: int) -> int:
    links = links_of(tx, repository_id, _BATCH)
    remove_links(tx, links)
    return len(links)


def _end(tx: Transaction, repository_id: int, name: RepositoryName) -> None:
    """What came in by requests that had begun before the repository was hidden goes too; further ones wait."""
    lock_repository(tx, repository_id)
    remove_tags_of(tx, repository_id)
    remove_sessions_of(tx, repository_id, name.text, LATE_WRITER)
    while _remove_manifests(tx, repository_id) or _remove_links(tx, repository_id):
        pass
    remove_repository(tx, repository_id)
