"""What a review decides: values in, a verdict out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from entrepot.lifecycle.policy import Policy
from entrepot.metadata import BlobFacts, LinkFacts, ManifestFacts, Review

_UNCLEAR_FOR = timedelta(days=1)


class Reason(StrEnum):
    """Why something stays or goes."""

    TAGGED = "tagged"
    PARENT = "parent"
    PINNED = "pinned"
    REFERRER = "referrer"
    SUBJECT = "subject"
    LEASE = "lease"
    UNTAGGED_KEPT = "untagged-kept"
    UNTAGGED_RECENT = "untagged-recent"
    PULLED_RECENTLY = "pulled-recently"
    UNTAGGED = "untagged"
    UNCLEAR = "unclear"
    SUBJECT_MISSING = "subject-missing"
    NAMED = "named"
    NOT_NAMED = "not-named"
    LINKED = "linked"
    NOT_LINKED = "not-linked"


class Outcome(Enum):
    """What becomes of something under review."""

    KEEP = auto()
    """It is in use and leaves the queue: whatever ends the use queues it again."""
    WAIT = auto()
    """It is looked at again later."""
    PARK = auto()
    """It is looked at again when the settings change."""
    COLLECT = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with its reason; ``until`` when to look again, for WAIT alone."""

    outcome: Outcome
    reason: Reason
    until: datetime | None = None


def judge_manifest(facts: ManifestFacts, review: Review, policy: Policy, now: datetime) -> Verdict:
    """A manifest stays for a tag, an index, a pin, its subject, a referrer that stays, a lease, or by policy.

    A referrer whose subject is not there waits for it no longer than any other content waits for its manifest.
    """
    for holds, reason in (
        (facts.tagged, Reason.TAGGED),
        (facts.has_parent, Reason.PARENT),
        (facts.has_kept_referrer, Reason.REFERRER),
        (facts.subject_there, Reason.SUBJECT),
    ):
        if holds:
            return Verdict(Outcome.KEEP, reason)
    if facts.is_unclear:
        return Verdict(Outcome.WAIT, Reason.UNCLEAR, now + _UNCLEAR_FOR)
    for until, reason in _waits(facts, review, policy):
        if until is not None and until > now:
            return Verdict(Outcome.WAIT, reason, until)
    if policy.keep_untagged:
        return Verdict(Outcome.PARK, Reason.UNTAGGED_KEPT)
    return Verdict(Outcome.COLLECT, Reason.SUBJECT_MISSING if facts.has_subject else Reason.UNTAGGED)


def _waits(facts: ManifestFacts, review: Review, policy: Policy) -> Iterator[tuple[datetime | None, Reason]]:
    """Until when something unreferenced waits, and why."""
    yield facts.pinned_until, Reason.PINNED
    yield facts.lease_until, Reason.LEASE
    if policy.keep_untagged or facts.has_subject:
        return
    yield review.event_at + policy.untagged_after, Reason.UNTAGGED_RECENT
    if facts.last_pulled_at is not None:
        yield facts.last_pulled_at + policy.pulled_within, Reason.PULLED_RECENTLY


def judge_link(facts: LinkFacts, now: datetime) -> Verdict:
    """A link stays for a manifest of its repository that names the blob, or for its lease."""
    if facts.named:
        return Verdict(Outcome.KEEP, Reason.NAMED)
    if facts.lease_until > now:
        return Verdict(Outcome.WAIT, Reason.LEASE, facts.lease_until)
    return Verdict(Outcome.COLLECT, Reason.NOT_NAMED)


def judge_blob(facts: BlobFacts) -> Verdict:
    """A blob stays for a repository that has it."""
    if facts.linked:
        return Verdict(Outcome.KEEP, Reason.LINKED)
    return Verdict(Outcome.COLLECT, Reason.NOT_LINKED)
