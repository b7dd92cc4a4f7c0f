"""Deleting a whole repository, with a plan first."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

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
    remove_records_of,
    remove_repository,
    remove_sessions_of,
    repository_content,
)
from entrepot.oci import NameUnknown, RepositoryName, Unavailable
from entrepot.registry import LATE_WRITER

_BATCH = 100  # manifests, links or sessions in one commit
_RECORDS = 1000  # tags and what else is no more than a row
_ROUNDS = 20  # nobody begins a push by now, so each round meets fewer


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """What would go; ``content.own_size`` bytes come back once the collection has passed."""

    name: RepositoryName
    content: RepositoryContent


@dataclass(frozen=True, slots=True)
class DeleteRepository:
    """Take a repository away with all its tags, manifests and uploads.

    It is hidden from everybody in the first step and emptied in further ones, each of them small however much it holds;
    after a crash in between, the same deletion again goes on where the first one stopped. Blobs that no other
    repository has are collected.
    """

    database: Database

    async def plan(self, name: RepositoryName) -> RepositoryPlan:
        """What the deletion would take away; raises NameUnknown."""
        content = await self.database.read(lambda tx: repository_content(tx, name))
        if content is None:
            raise NameUnknown(name=name.text)
        return RepositoryPlan(name, content)

    async def __call__(self, actor: Actor, name: RepositoryName) -> RepositoryPlan:
        """Delete, and say what there was; raises NameUnknown, Unavailable while pushes that had begun do not end."""
        plan = await self.plan(name)
        number = plan.content.id

        def begin(tx: Transaction) -> None:
            if begin_removal(tx, number):
                record_audit(tx, actor, "repository.delete", name.text, "")

        await self.database.write(begin)
        for _ in range(_ROUNDS):
            with contextlib.suppress(ForeignKeyViolation):  # a push that had begun before has just ended
                await self._empty(number, name)
                if await self.database.write(lambda tx: _end(tx, number, name)):
                    return plan
        raise Unavailable(repository=name.text, reason="busy")

    async def _empty(self, number: int, name: RepositoryName) -> None:
        """A bounded step after the other, each in a commit of its own: what comes last refers to what comes first."""
        for step in _STEPS:
            while await self.database.write(partial(step, repository_id=number, name=name)):
                pass


def _remove_records(tx: Transaction, repository_id: int, name: RepositoryName) -> int:
    del name
    return remove_records_of(tx, repository_id, _RECORDS)


def _remove_sessions(tx: Transaction, repository_id: int, name: RepositoryName) -> int:
    return remove_sessions_of(tx, repository_id, name.text, LATE_WRITER, _BATCH)


def _remove_manifests(tx: Transaction, repository_id: int, name: RepositoryName) -> int:
    del name
    ids = manifests_of(tx, repository_id, _BATCH)
    if ids:
        remove_manifests(tx, ids, timedelta(0))
    return len(ids)


def _remove_links(tx: Transaction, repository_id: int, name: RepositoryName) -> int:
    del name
    links = links_of(tx, repository_id, _BATCH)
    remove_links(tx, links)
    return len(links)


_STEPS: Final = (_remove_records, _remove_sessions, _remove_manifests, _remove_links)


def _end(tx: Transaction, repository_id: int, name: RepositoryName) -> bool:
    """Remove the row if nothing is left; False if requests that had begun before it was hidden have brought more.

    Others that add to the repository are waited for, and further ones wait.
    """
    lock_repository(tx, repository_id)
    if any(step(tx, repository_id, name) for step in _STEPS):
        return False
    remove_repository(tx, repository_id)
    return True
