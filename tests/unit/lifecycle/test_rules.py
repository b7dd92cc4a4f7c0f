from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.lifecycle import Outcome, Policy, Reason, Verdict
from entrepot.lifecycle.rules import judge_blob, judge_link, judge_manifest
from entrepot.metadata import PARKED, BlobFacts, Event, LinkFacts, ManifestFacts, Review
from entrepot.oci import Digest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
POLICY = Policy(
    review_after=DAY,
    delete_after=HOUR,
    lease=DAY,
    keep_untagged=False,
    untagged_after=14 * DAY,
    pulled_within=14 * DAY,
    unknown_after=DAY,
    session_lifetime=7 * DAY,
)
KEEPS = replace(POLICY, keep_untagged=True)
LOOSE = ManifestFacts(
    id=1,
    repository_id=1,
    repository="some/name",
    digest=Digest.of(b""),
    size=1,
    tagged=False,
    has_parent=False,
    pinned_until=None,
    has_subject=False,
    subject_there=False,
    has_kept_referrer=False,
    is_unclear=False,
    lease_until=NOW - HOUR,
    last_pulled_at=None,
)
LONG_AGO = Review((1,), Event.TAG_GONE, NOW - 30 * DAY, NOW - 30 * DAY, 0, None)
JUST_NOW = replace(LONG_AGO, event_at=NOW)
LINK = LinkFacts(1, 1, "some/name", Digest.of(b""), 1, named=False, lease_until=NOW - HOUR)
BLOB = BlobFacts(1, "some/name", Digest.of(b""), 1, linked=False)
REFERENCES = {
    "tagged": Reason.TAGGED,
    "has_parent": Reason.PARENT,
    "has_kept_referrer": Reason.REFERRER,
    "subject_there": Reason.SUBJECT,
}


@pytest.mark.parametrize(
    ("facts", "review", "verdict"),
    [
        ({"tagged": True}, LONG_AGO, Verdict(Outcome.KEEP, Reason.TAGGED)),
        ({"has_parent": True}, LONG_AGO, Verdict(Outcome.KEEP, Reason.PARENT)),
        ({"has_kept_referrer": True}, LONG_AGO, Verdict(Outcome.KEEP, Reason.REFERRER)),
        ({"is_unclear": True}, LONG_AGO, Verdict(Outcome.WAIT, Reason.UNCLEAR, NOW + DAY)),
        ({"has_subject": True, "subject_there": True}, LONG_AGO, Verdict(Outcome.KEEP, Reason.SUBJECT)),
        ({"pinned_until": NOW + HOUR}, LONG_AGO, Verdict(Outcome.WAIT, Reason.PINNED, NOW + HOUR)),
        ({"pinned_until": PARKED}, LONG_AGO, Verdict(Outcome.WAIT, Reason.PINNED, PARKED)),
        ({"pinned_until": NOW}, LONG_AGO, Verdict(Outcome.COLLECT, Reason.UNTAGGED)),
        ({"lease_until": NOW + HOUR}, LONG_AGO, Verdict(Outcome.WAIT, Reason.LEASE, NOW + HOUR)),
        ({"lease_until": NOW}, LONG_AGO, Verdict(Outcome.COLLECT, Reason.UNTAGGED)),
        ({}, JUST_NOW, Verdict(Outcome.WAIT, Reason.UNTAGGED_RECENT, NOW + 14 * DAY)),
        ({"last_pulled_at": NOW - DAY}, LONG_AGO, Verdict(Outcome.WAIT, Reason.PULLED_RECENTLY, NOW + 13 * DAY)),
        ({"last_pulled_at": NOW - 14 * DAY}, LONG_AGO, Verdict(Outcome.COLLECT, Reason.UNTAGGED)),
        ({}, LONG_AGO, Verdict(Outcome.COLLECT, Reason.UNTAGGED)),
        ({"has_subject": True}, JUST_NOW, Verdict(Outcome.COLLECT, Reason.SUBJECT_MISSING)),
        ({"has_subject": True, "last_pulled_at": NOW}, JUST_NOW, Verdict(Outcome.COLLECT, Reason.SUBJECT_MISSING)),
        (
            {"has_subject": True, "lease_until": NOW + HOUR},
            JUST_NOW,
            Verdict(Outcome.WAIT, Reason.LEASE, NOW + HOUR),
        ),
    ],
)
def test_what_becomes_of_a_manifest(facts: dict[str, Any], review: Review, verdict: Verdict) -> None:
    """References keep it, promises let it wait, and nothing else does."""
    assert judge_manifest(replace(LOOSE, **facts), review, POLICY, NOW) == verdict


@pytest.mark.parametrize("facts", [{}, {"has_subject": True}, {"last_pulled_at": NOW}])
def test_kept_manifests_are_parked(facts: dict[str, Any]) -> None:
    """Where untagged manifests are kept, what nothing refers to waits for other settings."""
    parked = Verdict(Outcome.PARK, Reason.UNTAGGED_KEPT)
    assert judge_manifest(replace(LOOSE, **facts), JUST_NOW, KEEPS, NOW) == parked


@pytest.mark.parametrize("held", [{"lease_until": NOW + HOUR}, {"pinned_until": NOW + HOUR}])
def test_promises_come_before_parking(held: dict[str, Any]) -> None:
    """A lease or pin that runs is waited for first, also where untagged manifests are kept."""
    assert judge_manifest(replace(LOOSE, **held), LONG_AGO, KEEPS, NOW).outcome is Outcome.WAIT


instants = st.one_of(st.none(), st.timedeltas(-30 * DAY, 30 * DAY).map(lambda time: NOW + time))
manifest_facts = st.builds(
    replace,
    st.just(LOOSE),
    tagged=st.booleans(),
    has_parent=st.booleans(),
    has_kept_referrer=st.booleans(),
    has_subject=st.booleans(),
    pinned_until=instants,
    lease_until=instants.map(lambda instant: instant or NOW),
    last_pulled_at=instants,
).flatmap(lambda facts: st.booleans().map(lambda there: replace(facts, subject_there=there and facts.has_subject)))
reviews = st.timedeltas(-30 * DAY, timedelta(0)).map(lambda time: replace(LONG_AGO, event_at=NOW + time))


@given(manifest_facts, reviews, st.sampled_from([POLICY, KEEPS]))
def test_precedence(facts: ManifestFacts, review: Review, policy: Policy) -> None:
    """References come before promises and these before the policy; who waits is judged anew when the time is there."""
    verdict = judge_manifest(facts, review, policy, NOW)
    references = [reason for name, reason in REFERENCES.items() if getattr(facts, name)]
    promises = [facts.lease_until, *([facts.pinned_until] if facts.pinned_until else [])]

    if references:
        assert verdict == Verdict(Outcome.KEEP, references[0])
    elif max(promises) > NOW:
        assert verdict.outcome is Outcome.WAIT
    elif policy.keep_untagged:
        assert verdict.outcome is Outcome.PARK
    else:
        assert verdict.outcome in {Outcome.WAIT, Outcome.COLLECT}
    if verdict.outcome is Outcome.WAIT:
        assert verdict.until is not None
        assert verdict.until > NOW
        assert judge_manifest(facts, review, policy, verdict.until).reason is not verdict.reason
    else:
        assert verdict.until is None


@given(manifest_facts, reviews)
def test_nothing_promised_is_collected(facts: ManifestFacts, review: Review) -> None:
    """Whatever is collected has no reference, no lease and no pin, and its time and that of its last pull are over."""
    if judge_manifest(facts, review, POLICY, NOW).outcome is not Outcome.COLLECT:
        return
    assert not any(getattr(facts, name) for name in REFERENCES)
    assert facts.lease_until <= NOW
    assert facts.pinned_until is None or facts.pinned_until <= NOW
    if not facts.has_subject:
        assert review.event_at + POLICY.untagged_after <= NOW
        assert facts.last_pulled_at is None or facts.last_pulled_at + POLICY.pulled_within <= NOW


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"named": True}, Verdict(Outcome.KEEP, Reason.NAMED)),
        ({"named": True, "lease_until": NOW + HOUR}, Verdict(Outcome.KEEP, Reason.NAMED)),
        ({"lease_until": NOW + HOUR}, Verdict(Outcome.WAIT, Reason.LEASE, NOW + HOUR)),
        ({"lease_until": NOW}, Verdict(Outcome.COLLECT, Reason.NOT_NAMED)),
    ],
)
def test_what_becomes_of_a_link(facts: dict[str, Any], verdict: Verdict) -> None:
    """A manifest that names the blob keeps its link, and so does a lease."""
    assert judge_link(replace(LINK, **facts), NOW) == verdict


def test_what_becomes_of_a_blob() -> None:
    """A repository that has it keeps it."""
    assert judge_blob(replace(BLOB, linked=True)) == Verdict(Outcome.KEEP, Reason.LINKED)
    assert judge_blob(BLOB) == Verdict(Outcome.COLLECT, Reason.NOT_LINKED)


@given(st.lists(st.timedeltas(timedelta(0), 400 * DAY), min_size=7, max_size=7))
def test_the_longest_time_covers_every_other(times: list[timedelta]) -> None:
    """Whatever a policy promises has passed after its longest time."""
    review, delete, lease, untagged, pulled, unknown, session = times
    policy = Policy(
        review_after=review,
        delete_after=delete,
        lease=lease,
        keep_untagged=False,
        untagged_after=untagged,
        pulled_within=pulled,
        unknown_after=unknown,
        session_lifetime=session,
    )
    assert policy.longest == max(times)
