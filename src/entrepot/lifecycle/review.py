"""Reviewing the queues of the collection: looking at what is due, and collecting what nothing needs."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from entrepot.lifecycle.clock import Clock
from entrepot.lifecycle.policy import Policy
from entrepot.lifecycle.rules import Outcome, Verdict, judge_blob, judge_link, judge_manifest
from entrepot.metadata import (
    PARKED,
    Actor,
    BlobFacts,
    Database,
    ForeignKeyViolation,
    Key,
    LinkFacts,
    ManifestFacts,
    Queue,
    Review,
    Transaction,
    blob_facts,
    drop_reviews,
    due_reviews,
    fail_review,
    link_facts,
    lock_reviewed,
    manifest_facts,
    postpone_reviews,
    record_audits,
    remove_blobs,
    remove_links,
    remove_manifests,
    reviews_of,
)
from entrepot.oci import StorageFull, Unavailable, words_of

logger = logging.getLogger(__name__)

BATCH = 250  # rows in one transaction: some tens of milliseconds, so that pushes beside it hardly wait
COLLECTOR = Actor("system", "collector", "collector")
ERROR_LENGTH = 1000  # characters of an error that are kept with a row
_FIRST_PAUSE = timedelta(minutes=1)  # after a review that failed; twice as long after each further one
_LONGEST_PAUSE = timedelta(hours=24)

Facts = TypeVar("Facts", ManifestFacts, LinkFacts, BlobFacts)


class Subject(Protocol[Facts]):
    """What a queue is about: how to learn the facts, to judge them, and to remove what is collected."""

    queue: Queue

    def facts(self, tx: Transaction, keys: Collection[Key]) -> list[Facts]:
        """The facts of those keys that are there."""
        ...

    def key(self, facts: Facts) -> Key:
        """Which row the facts are about."""
        ...

    def judge(self, facts: Facts, review: Review, policy: Policy, now: datetime) -> Verdict:
        """What is to become of it."""
        ...

    def remove(self, tx: Transaction, gone: Sequence[Facts], policy: Policy) -> None:
        """Delete the rows, which takes their reviews with them; raises ForeignKeyViolation if one is in use."""
        ...


class Manifests:
    """Manifests that nothing refers to."""

    queue = Queue.MANIFESTS

    def facts(self, tx: Transaction, keys: Collection[Key]) -> list[ManifestFacts]:
        """Who refers to each."""
        return manifest_facts(tx, keys)

    def key(self, facts: ManifestFacts) -> Key:
        """Its number."""
        return (facts.id,)

    def judge(self, facts: ManifestFacts, review: Review, policy: Policy, now: datetime) -> Verdict:
        """By references and policy."""
        return judge_manifest(facts, review, policy, now)

    def remove(self, tx: Transaction, gone: Sequence[ManifestFacts], policy: Policy) -> None:
        """Each with an audit row; what it alone has kept stays for a lease."""
        remove_manifests(tx, [manifest.id for manifest in gone], policy.lease)
        about = [(manifest.repository, str(manifest.digest)) for manifest in gone]
        record_audits(tx, COLLECTOR, "manifest.collect", about)


class Links:
    """Links of blobs that no manifest of their repository names."""

    queue = Queue.LINKS

    def facts(self, tx: Transaction, keys: Collection[Key]) -> list[LinkFacts]:
        """Whether a manifest names the blob, and the lease."""
        return link_facts(tx, keys)

    def key(self, facts: LinkFacts) -> Key:
        """The numbers of repository and blob."""
        return facts.repository_id, facts.blob_id

    def judge(self, facts: LinkFacts, review: Review, policy: Policy, now: datetime) -> Verdict:  # ruff: ignore[unused-method-argument]  as for manifests
        """By references and lease."""
        return judge_link(facts, now)

    def remove(self, tx: Transaction, gone: Sequence[LinkFacts], policy: Policy) -> None:  # ruff: ignore[unused-method-argument]  as for manifests
        """All at once; their blobs are reviewed."""
        remove_links(tx, gone)


class Blobs:
    """Blobs that no repository has."""

    queue = Queue.BLOBS

    def facts(self, tx: Transaction, keys: Collection[Key]) -> list[BlobFacts]:
        """Whether a repository has it."""
        return blob_facts(tx, keys)

    def key(self, facts: BlobFacts) -> Key:
        """Its number."""
        return (facts.id,)

    def judge(self, facts: BlobFacts, review: Review, policy: Policy, now: datetime) -> Verdict:  # ruff: ignore[unused-method-argument]  as for manifests
        """By its links alone: a lease belongs to a link."""
        return judge_blob(facts)

    def remove(self, tx: Transaction, gone: Sequence[BlobFacts], policy: Policy) -> None:
        """All at once; their bytes are deleted later."""
        remove_blobs(tx, gone, tx.now + policy.delete_after)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What came of a batch: rows due, rows decided, rows collected and rows whose review failed.

    Rows that are due and not decided are held by others just now.
    """

    due: int = 0
    decided: int = 0
    collected: int = 0
    failed: int = 0

    def __add__(self, other: "Reviewed") -> "Reviewed":
        return Reviewed(
            self.due + other.due,
            self.decided + other.decided,
            self.collected + other.collected,
            self.failed + other.failed,
        )

    @property
    def is_full(self) -> bool:
        """Whether there may be more that is due."""
        return self.due >= BATCH


@dataclass(frozen=True, slots=True)
class ReviewBatch:
    """Review what is due in a queue, one batch in one transaction.

    Two of these at once share the work: rows that another holds are left to it. One bad row does not stop the others:
    where a batch fails, its rows are reviewed one by one, and what fails then is recorded and tried again later.
    """

    database: Database
    policy: Policy
    clock: Clock

    async def __call__(self, subject: Subject[Facts]) -> Reviewed:
        """Review up to a batch; raises Unavailable and StorageFull when the database does not take it."""
        try:
            return await self.database.write(lambda tx: self._review(tx, subject, self._due(tx, subject.queue)))
        except (Unavailable, StorageFull):
            raise
        except Exception as error:  # whatever is wrong with one row, the others go on
            logger.warning("a batch of reviews failed", exc_info=error, extra={"queue": subject.queue.value})
        reviewed = Reviewed()
        for key in await self.database.read(lambda tx: self._due(tx, subject.queue)):
            reviewed += await self._review_one(subject, key)
        return reviewed

    async def _review_one(self, subject: Subject[Facts], key: Key) -> Reviewed:
        try:
            return await self.database.write(lambda tx: self._review(tx, subject, [key]))
        except (Unavailable, StorageFull):
            raise
        except ForeignKeyViolation:
            # It is in use; whatever ends that use queues it again.
            await self.database.write(lambda tx: self._drop(tx, subject.queue, key))
            return Reviewed(due=1, decided=1)
        except Exception as error:
            logger.exception("a review failed", extra={"queue": subject.queue.value, "key": list(key)})
            reason = words_of(error, ERROR_LENGTH)
            await self.database.write(lambda tx: self._fail(tx, subject.queue, key, reason))
            return Reviewed(due=1, decided=1, failed=1)

    def _due(self, tx: Transaction, queue: Queue) -> list[Key]:
        return [review.key for review in due_reviews(tx, queue, self._waits_until(tx), BATCH)]

    def _waits_until(self, tx: Transaction) -> datetime:
        return self.clock.steady(tx.now) - self.policy.review_after

    def _review(self, tx: Transaction, subject: Subject[Facts], keys: Collection[Key]) -> Reviewed:
        """Lock what is reviewed, read the queue, look who refers to it, carry the verdicts out.

        In this order: an event that comes after the queue was read leaves its row as it made it, and it stays.
        """
        if not keys:
            return Reviewed()
        queue, now = subject.queue, self.clock.steady(tx.now)
        locked = lock_reviewed(tx, queue, keys)
        due = {review.key: review for review in reviews_of(tx, queue, locked, self._waits_until(tx))}
        found = subject.facts(tx, list(due))
        gone: list[Facts] = []
        done: list[Review] = []
        later: list[tuple[Review, datetime]] = []
        for facts in found:
            review = due[subject.key(facts)]
            verdict = subject.judge(facts, review, self.policy, now)
            if verdict.outcome is Outcome.COLLECT:
                gone.append(facts)
            elif verdict.outcome is Outcome.KEEP:
                done.append(review)
            else:
                until = PARKED if verdict.until is None else verdict.until - self.policy.review_after
                later.append((review, until))
        postpone_reviews(tx, queue, later)
        drop_reviews(tx, queue, done)  # first: a removal queues its neighbours anew, also those that were to be kept
        if gone:
            subject.remove(tx, gone, self.policy)
        return Reviewed(len(keys), len(found), len(gone))

    def _drop(self, tx: Transaction, queue: Queue, key: Key) -> None:
        drop_reviews(tx, queue, reviews_of(tx, queue, [key], self._waits_until(tx)))

    def _fail(self, tx: Transaction, queue: Queue, key: Key, reason: str) -> None:
        for review in reviews_of(tx, queue, [key], self._waits_until(tx)):
            pause = min(_FIRST_PAUSE * 2 ** min(review.attempts, 16), _LONGEST_PAUSE)
            fail_review(tx, queue, review, tx.now + pause - self.policy.review_after, reason)
