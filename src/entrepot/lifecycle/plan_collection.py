"""What the collection would do by now, and why, without doing it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from entrepot.lifecycle.policy import Policy
from entrepot.lifecycle.review import Blobs, Facts, Links, Manifests, Subject
from entrepot.lifecycle.rules import Outcome, Verdict
from entrepot.metadata import Database, Review, Transaction, due_reviews

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Planned:
    """One entry of the plan: what it is about, its size in bytes, what would become of it."""

    queue: str
    repository: str
    digest: str
    size: int
    review: Review
    verdict: Verdict
    due_at: datetime


@dataclass(frozen=True, slots=True)
class PlanCollection:
    """Judge every row of the queues as the collection would, in one reading transaction.

    What a removal would free in turn is not in it: that is decided when its own time comes.
    """

    database: Database
    policy: Policy

    async def __call__(self, at_most: int, *, due_only: bool) -> list[Planned]:
        """Up to ``at_most`` entries of each queue, the longest waiting first; with ``due_only`` none that must wait."""
        return await self.database.read(lambda tx: list(self._plan(tx, at_most, due_only=due_only)))

    def _plan(self, tx: Transaction, at_most: int, *, due_only: bool) -> Iterator[Planned]:
        yield from self._plan_queue(tx, Manifests(), at_most, due_only=due_only)
        yield from self._plan_queue(tx, Links(), at_most, due_only=due_only)
        yield from self._plan_queue(tx, Blobs(), at_most, due_only=due_only)

    def _plan_queue(
        self, tx: Transaction, subject: Subject[Facts], at_most: int, *, due_only: bool
    ) -> Iterator[Planned]:
        waits_until = tx.now - self.policy.review_after if due_only else datetime.max.replace(tzinfo=tx.now.tzinfo)
        reviews = {review.key: review for review in due_reviews(tx, subject.queue, waits_until, at_most)}
        keys = list(reviews)
        for start in range(0, len(keys), _BATCH):
            for facts in subject.facts(tx, keys[start : start + _BATCH]):
                review = reviews[subject.key(facts)]
                verdict = subject.judge(facts, review, self.policy, tx.now)
                yield Planned(
                    subject.queue.value,
                    facts.repository,
                    str(facts.digest),
                    facts.size,
                    review,
                    verdict,
                    review.waits_from + self.policy.review_after,
                )


def would_go(planned: Planned) -> bool:
    """Whether the collection would remove it."""
    return planned.verdict.outcome is Outcome.COLLECT
