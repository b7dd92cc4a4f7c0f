"""Patterns of repository names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.access import EVERY_REPOSITORY, PatternInvalid, RepositoryPattern


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("team/**", ["team/app", "team/a/b"], ["team", "teams/app", "other/team/app"]),
        ("team/*", ["team/app"], ["team/a/b", "team"]),
        ("**", ["a", "a/b/c"], []),
        ("*", ["a"], ["a/b"]),
        ("team/app", ["team/app"], ["team/app2", "team/ap", "team/app/x"]),
        ("**/app", ["team/app", "a/b/app"], ["app", "team/apps"]),
        ("*/app-*", ["team/app-1", "team/app-"], ["team/app", "a/b/app-1", "team/app-1/x"]),
        ("**a/*b", ["xa/ya/zb"], ["xa/ya/z/b"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    """One star stays within a segment, two go on; everything else stands for itself."""
    parsed = RepositoryPattern.parse(pattern)
    assert [name for name in matching + others if parsed.matches(name)] == matching


@given(
    st.text("ab/*", min_size=1, max_size=12).filter(lambda text: "***" not in text),
    st.text("ab/", max_size=12),
)
def test_matching_is_that_of_an_expression(pattern: str, name: str) -> None:
    """The same answers as a regular expression, which is what users know."""
    pieces = re.split(r"(\*+)", pattern)
    expression = "".join({"*": "[^/]*", "**": ".*"}.get(piece, re.escape(piece)) for piece in pieces)
    parsed = RepositoryPattern.parse(pattern)
    assert parsed.matches(name) is (re.fullmatch(expression, name) is not None)
    assert name.startswith(parsed.literal) or not parsed.matches(name)


def test_a_hostile_pattern_costs_no_more() -> None:
    """Time follows the name's length: a pattern for which expressions go through all combinations ends at once."""
    assert not RepositoryPattern.parse("**a" * 80 + "b").matches("a" * 255)


@pytest.mark.parametrize("pattern", ["", "Team/**", "a***", "a b", "a\n", "é", "a?", "a/" * 200])
def test_what_is_no_pattern(pattern: str) -> None:
    """Anything that can be part of no name is refused, and what is too long."""
    with pytest.raises(PatternInvalid):
        RepositoryPattern.parse(pattern)


def test_what_covers_a_project() -> None:
    """Only what has all names with a beginning."""
    assert EVERY_REPOSITORY.covers("")
    assert RepositoryPattern.parse("team/**").covers("team/")
    assert RepositoryPattern.parse("team/**").covers("team/deep/")
    assert not RepositoryPattern.parse("team/*").covers("team/")
    assert not RepositoryPattern.parse("team/app/**").covers("team/")
