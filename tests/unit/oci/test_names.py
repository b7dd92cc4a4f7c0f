import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import Digest, NameInvalid, RepositoryName, Tag, TagInvalid, parse_reference

LOWER = string.ascii_lowercase
DIGITS = string.digits
TAG_FIRST = LOWER + LOWER.upper() + DIGITS + "_"
SEPARATOR_RUNS = re.compile(r"[._-]+")


def is_component(text: str) -> bool:
    """The grammar of a path component, put another way: alphanumeric at both ends, known runs of separators between."""
    if not text or any(character not in LOWER + DIGITS + "._-" for character in text):
        return False
    if text[0] in "._-" or text[-1] in "._-":
        return False
    return all(run in {".", "_", "__"} or set(run) == {"-"} for run in SEPARATOR_RUNS.findall(text))


def is_name(text: str) -> bool:
    """The grammar of a repository name, put another way."""
    return len(text) <= 255 and all(is_component(component) for component in text.split("/"))


@given(st.text(LOWER[:3] + DIGITS[:2] + "._-/", max_size=24))
def test_names_follow_the_grammar(text: str) -> None:
    """A name is read exactly when it is in the grammar, and written as it was read."""
    if is_name(text):
        assert str(RepositoryName.parse(text)) == text
    else:
        with pytest.raises(NameInvalid):
            RepositoryName.parse(text)


@given(st.text())
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """Nothing but NameInvalid comes of arbitrary text."""
    if is_name(text):
        assert RepositoryName.parse(text).text == text
    else:
        with pytest.raises(NameInvalid, check=lambda error: len(str(error.detail["name"])) <= 255):
            RepositoryName.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "..",
        "a/..",
        "../a",
        "a/../b",
        ".a",
        "a.",
        "a..b",
        "a___b",
        "a._b",
        "-a",
        "a-",
        "A",
        "a/B",
        "a b",
        "a\n",
        "a\r\n",
        "a\0",
        "\0a",
        "a\u0661",
        "\uff41",
        "caf\u00e9",
        "a%2fb",
        "a:b",
        "a@b",
        "a\\b",
        "a" * 256,
        "a/" * 127 + "ab",
    ],
)
def test_a_name_outside_the_grammar_is_refused(text: str) -> None:
    """Traversal, NUL, line ends, unicode digits, upper case, escapes and too long names are refused."""
    with pytest.raises(NameInvalid):
        RepositoryName.parse(text)


@pytest.mark.parametrize("text", ["a", "library/debian", "a.b/c_d/e__f/g--h/0", "a" * 255, "a/" * 127 + "a", "1/2/3"])
def test_a_name_of_the_grammar_is_taken(text: str) -> None:
    """Every separator that the specification knows, up to 255 characters."""
    assert RepositoryName.parse(text).text == text


@given(st.text(TAG_FIRST, min_size=1, max_size=1), st.text(TAG_FIRST + ".-", max_size=127))
def test_a_tag_is_written_as_it_was_read(first: str, rest: str) -> None:
    """Every tag of the grammar is taken."""
    assert str(Tag.parse(first + rest)) == first + rest


@given(st.text())
def test_any_text_is_a_tag_or_refused(text: str) -> None:
    """Nothing but TagInvalid comes of arbitrary text."""
    is_tag = 0 < len(text) <= 128 and text[0] in TAG_FIRST and all(character in TAG_FIRST + ".-" for character in text)
    if is_tag:
        assert Tag.parse(text).text == text
    else:
        with pytest.raises(TagInvalid):
            Tag.parse(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "-a", ".a", "a\n", "a\0", "a b", "a/b", "a:b", "a\u0661", "v1+1", "a" * 129]
)
def test_a_tag_outside_the_grammar_is_refused(text: str) -> None:
    """Traversal, NUL, line ends, unicode digits and too long tags are refused."""
    with pytest.raises(TagInvalid):
        Tag.parse(text)


def test_a_colon_makes_a_reference_a_digest() -> None:
    """A reference is a digest when it has a colon, else a tag."""
    digest = "sha256:" + "0" * 64

    assert parse_reference("latest") == Tag("latest")
    assert parse_reference(digest) == Digest.parse(digest)


def test_names_and_tags_sort_by_their_text() -> None:
    """Names and tags sort as their characters do."""
    assert RepositoryName("a/b") < RepositoryName("a0")
    assert Tag("V1") < Tag("v1")
