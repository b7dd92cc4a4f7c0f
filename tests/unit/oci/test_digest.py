import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import Algorithm, Digest, DigestInvalid

HEX = "0123456789abcdef"


def encoded_digests() -> st.SearchStrategy[str]:
    """Well-formed digests of both algorithms."""
    return st.one_of(
        *(
            st.text(HEX, min_size=algorithm.hex_characters, max_size=algorithm.hex_characters).map(
                f"{algorithm.value}:{{}}".format
            )
            for algorithm in Algorithm
        )
    )


@given(encoded_digests())
def test_a_digest_is_written_as_it_was_read(text: str) -> None:
    """Parsing and writing are inverse."""
    assert str(Digest.parse(text)) == text


@given(st.binary(max_size=200), st.sampled_from(Algorithm))
def test_a_digest_of_content_is_that_of_hashlib(content: bytes, algorithm: Algorithm) -> None:
    """The address of content is its algorithm's lower-case hex."""
    digest = Digest.of(content, algorithm)

    assert digest.encoded == hashlib.new(algorithm.value, content).hexdigest()
    assert Digest.parse(str(digest)) == digest


@given(st.text())
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    """Nothing but DigestInvalid comes of arbitrary text, and what is read is what was written."""
    if re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", text):
        assert str(Digest.parse(text)) == text
    else:
        with pytest.raises(DigestInvalid, check=lambda error: error.detail["reason"] in {"algorithm", "format"}):
            Digest.parse(text)


@given(encoded_digests(), st.data())
def test_one_wrong_character_is_refused(text: str, data: st.DataObject) -> None:
    """Upper case, unicode digits, line ends, NUL and separators are outside the grammar wherever they stand."""
    position = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.sampled_from("ABCDEFGgz\u0661\uff11\n\r\0/.+-_ %\u00e9"))
    forged = text[:position] + wrong + text[position + 1 :]

    with pytest.raises(DigestInvalid):
        Digest.parse(forged)


@pytest.mark.parametrize("suffix", ["\n", "\r\n", "\0", " ", "0", "/..", ":", "\u0661"])
@given(text=encoded_digests())
def test_nothing_may_follow(text: str, suffix: str) -> None:
    """A digest ends with its hex; a trailing newline is not forgiven."""
    with pytest.raises(DigestInvalid):
        Digest.parse(text + suffix)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "format"),
        ("sha256", "format"),
        ("sha256:", "format"),
        (":" + "a" * 64, "algorithm"),
        ("sha256:" + "a" * 63, "format"),
        ("sha256:" + "a" * 128, "format"),
        ("sha512:" + "a" * 64, "format"),
        ("SHA256:" + "a" * 64, "algorithm"),
        ("sha384:" + "a" * 96, "algorithm"),
        ("blake3:" + "a" * 64, "algorithm"),
        ("md5:" + "a" * 32, "algorithm"),
        ("sha256+b64:" + "a" * 64, "algorithm"),
    ],
)
def test_the_refusal_says_what_is_wrong(text: str, reason: str) -> None:
    """An unknown algorithm is told apart from a malformed digest."""
    with pytest.raises(DigestInvalid) as refused:
        Digest.parse(text)

    assert refused.value.detail["reason"] == reason


def test_a_refused_digest_is_shown_in_part() -> None:
    """A refusal never carries more of the input than a digest has."""
    with pytest.raises(DigestInvalid) as refused:
        Digest.parse("sha256:" + "x" * 100_000)

    assert len(str(refused.value.detail["digest"])) <= 160


def test_digests_of_one_algorithm_sort_by_their_hex() -> None:
    """Sorting is by algorithm, then by bytes."""
    low, high = Digest.parse("sha256:" + "0" * 64), Digest.parse("sha256:" + "f" * 64)
    other = Digest.parse("sha512:" + "0" * 128)

    assert sorted([other, high, low]) == [low, high, other]
