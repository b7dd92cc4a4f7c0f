"""How long is waited, and for what a registry asks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.transport.patience import Patience, retry_after_of
from entrepot.client.transport.scopes import Scope, covers, joined, parse_scopes

DATE = "Wed, 25 Nov 2026 10:00:00 GMT"
NAMES = st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3}(:[0-9]{1,2})?)?", fullmatch=True)
SCOPES = st.frozensets(st.builds(Scope.repository, NAMES, st.sampled_from(["pull", "push", "delete"])), max_size=4)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "Wed, 25 Nov 2026 10:00:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Wed, 25 Nov 2026 09:00:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "\u0663"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: int | None) -> None:
    """Seconds, or a date by the server's own clock."""
    assert retry_after_of(headers) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_value_is_a_failure(after: str, date: str) -> None:
    """Whatever is sent gives a time that is not negative, or none."""
    found = retry_after_of({"Retry-After": after, "Date": date})
    assert found is None or found >= timedelta(0)


@given(st.integers(1, 10_000))
def test_pauses_double_up_to_a_bound(failures: int) -> None:
    """They differ by a quarter at most from what doubling gives."""
    patience = Patience(first_pause=timedelta(seconds=1), pause_at_most=timedelta(seconds=30))
    expected = min(2 ** min(failures - 1, 10), 30)
    assert expected * 0.75 <= patience.pause(failures) <= expected * 1.25


@given(SCOPES, SCOPES)
def test_scopes_join_and_cover(one: frozenset[Scope], other: frozenset[Scope]) -> None:
    """The union covers both and is what its text says; each resource is in it once."""
    both = joined([*one, *other])
    assert covers(both, joined(one))
    assert covers(both, joined(other))
    assert len({(scope.kind, scope.name) for scope in both}) == len(both)
    assert parse_scopes(" ".join(map(str, both))) == both


@pytest.mark.parametrize("text", ["", "repository", "repository:", ":a:pull", "repository:a:", "x" * 500])
def test_what_is_no_scope_is_left_out(text: str) -> None:
    """Nothing is asked for that cannot be read."""
    assert parse_scopes(text) == frozenset()
