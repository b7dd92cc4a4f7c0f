import string
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import Tag, version_key

IDENTIFIERS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=5)
NUMBERS = st.one_of(st.integers(0, 20), st.integers(0, 10**12))


class Version(NamedTuple):
    """A version taken apart, to be compared the slow way."""

    numbers: tuple[int, int, int]
    pre_release: tuple[str, ...]

    @property
    def tag(self) -> Tag:
        """The version as a tag."""
        text = ".".join(map(str, self.numbers))
        return Tag.parse(f"{text}-{'.'.join(self.pre_release)}" if self.pre_release else text)


VERSIONS = st.builds(Version, st.tuples(NUMBERS, NUMBERS, NUMBERS), st.lists(IDENTIFIERS, max_size=3).map(tuple))


def compare_identifiers(one: str, other: str) -> int:
    """Precedence of two identifiers, rule by rule (Semantic Versioning 2.0.0, 11.4)."""
    if one.isdigit() and other.isdigit():
        return (int(one) > int(other)) - (int(one) < int(other))
    if one.isdigit() != other.isdigit():
        return -1 if one.isdigit() else 1
    return (one > other) - (one < other)


def compare(one: Version, other: Version) -> int:
    """Precedence of two versions, rule by rule (Semantic Versioning 2.0.0, 11)."""
    if one.numbers != other.numbers:
        return 1 if one.numbers > other.numbers else -1
    if not one.pre_release or not other.pre_release:
        return bool(other.pre_release) - bool(one.pre_release)
    for mine, theirs in zip(one.pre_release, other.pre_release, strict=False):
        if (difference := compare_identifiers(mine, theirs)) != 0:
            return difference
    return (len(one.pre_release) > len(other.pre_release)) - (len(one.pre_release) < len(other.pre_release))


def key(text: str) -> bytes:
    """The key of a tag that is a version."""
    found = version_key(Tag.parse(text))
    assert found is not None
    return found


@given(VERSIONS, VERSIONS)
def test_keys_compare_as_versions_do(one: Version, other: Version) -> None:
    """The bytes order any two versions as the rules of precedence do, ties included."""
    mine, theirs = key(one.tag.text), key(other.tag.text)

    assert (mine > theirs) - (mine < theirs) == compare(one, other)


@given(st.tuples(NUMBERS), st.lists(IDENTIFIERS, min_size=1, max_size=3), st.lists(IDENTIFIERS, min_size=1, max_size=3))
def test_keys_of_pre_releases_compare_as_versions_do(numbers: tuple[int], one: list[str], other: list[str]) -> None:
    """Two pre-releases of one version are ordered identifier by identifier."""
    core = (numbers[0], 0, 0)
    mine, theirs = Version(core, tuple(one)), Version(core, tuple(other))

    keys = key(mine.tag.text), key(theirs.tag.text)

    assert (keys[0] > keys[1]) - (keys[0] < keys[1]) == compare(mine, theirs)


def test_the_specifications_own_example() -> None:
    """The order that Semantic Versioning 2.0.0 gives as its example."""
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "1.9.0", "1.10.0", "2.0.0", "10.0.0"]

    assert sorted(set(ordered), key=key) == ordered


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1.2.3", "1.2.3"),
        ("1", "1.0.0"),
        ("1.2", "1.2.0"),
        ("1.2-alpine", "1.2.0-alpine"),
        ("2026.01.05", "2026.1.5"),
        ("1.2.3_build.7", "1.2.3"),
        ("1.2.3-rc.1_build", "1.2.3-rc.1"),
        ("1.0.0-01", "1.0.0-1"),
    ],
)
def test_other_spellings_stand_together(one: str, other: str) -> None:
    """A leading v, missing numbers, zeros in front and build metadata do not change the place."""
    assert key(one) == key(other)


@pytest.mark.parametrize(
    "text",
    [
        "latest",
        "v",
        "vv1",
        "V1",
        "1.",
        "1..2",
        "1.2.3.4",
        "1.2.3-",
        "1.2.3-a..b",
        "a1",
        "1a",
        "_1",
        "1.x",
        "stable-1",
    ],
)
def test_what_is_no_version_has_no_key(text: str) -> None:
    """Words, four numbers and empty identifiers are no versions."""
    assert version_key(Tag.parse(text)) is None


@given(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True))
def test_every_tag_has_a_key_or_none(text: str) -> None:
    """No tag raises, and a key is never longer than an index column can bear."""
    found = version_key(Tag.parse(text))

    assert found is None or 4 <= len(found) <= 400


def test_the_longest_number_has_a_key() -> None:
    """A tag that is one number of 128 digits still sorts behind a shorter one."""
    assert key("9" * 127) < key("1" + "0" * 127)
