import re
from itertools import pairwise, starmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.oci import (
    RANGES_AT_MOST,
    BlobUploadInvalid,
    ByteRange,
    ChunkRange,
    RangeInvalid,
    UploadRangeInvalid,
    parse_content_range,
    parse_ranges,
)

Spec = tuple[int | None, int | None]

SIZES = st.integers(0, 40)
OFFSETS = st.integers(0, 45)
SPECS: st.SearchStrategy[Spec] = st.one_of(
    st.tuples(OFFSETS, OFFSETS), st.tuples(OFFSETS, st.none()), st.tuples(st.none(), OFFSETS)
)
HUGE = 10**30


def written(specs: list[Spec]) -> str:
    """The header that asks for these ranges."""
    return "bytes=" + ",".join(
        f"{'' if first is None else first}-{'' if last is None else last}" for first, last in specs
    )


def positions(spec: Spec, size: int) -> list[int]:
    """The bytes that one range names, each by itself: what RFC 9110 section 14.1.2 says, without thrift."""
    first, last = spec
    everything = range(size)
    if first is None:
        assert last is not None
        return [position for position in everything if position >= size - last]
    return [position for position in everything if first <= position and (last is None or position <= last)]


@given(st.lists(SPECS, min_size=1, max_size=6), SIZES)
@example([(0, 0), (2, 2), (1, 1)], 3)
@example([(None, 1), (0, 0)], 10)
def test_ranges_are_those_of_a_naive_model(specs: list[Spec], size: int) -> None:
    """Exactly the bytes that were asked for come out, in parts that neither overlap nor touch."""
    wanted = [positions(spec, size) for spec in specs]
    reversed_spec = any(first is not None and last is not None and last < first for first, last in specs)
    asks_for_start = any(first == 0 or (first is None and last != 0) for first, last in specs)
    if reversed_spec or not (any(wanted) or (size == 0 and asks_for_start)):
        with pytest.raises(RangeInvalid, check=lambda error: error.detail == {"size": size}):
            parse_ranges(written(specs), size)
        return

    ranges = parse_ranges(written(specs), size)

    if sum(map(len, wanted)) > size or size == 0:
        assert ranges is None
        return
    assert ranges is not None
    given_out = [position for part in ranges for position in range(part.start, part.stop)]
    assert sorted(given_out) == sorted({position for part in wanted for position in part})
    assert all(part.length > 0 for part in ranges)
    assert all(one.stop < other.start for one, other in pairwise(sorted(ranges)))
    first_asked = {position: place for place, part in reversed(list(enumerate(wanted))) for position in part}
    places = [min(first_asked[position] for position in range(part.start, part.stop)) for part in ranges]
    assert places == sorted(places)


@given(st.text(), st.integers(0, 2**63 - 1))
def test_any_header_is_ranges_or_ignored_or_refused(text: str, size: int) -> None:
    """Arbitrary text never raises anything but RangeInvalid, and no part lies outside the content."""
    try:
        ranges = parse_ranges("bytes=" + text, size)
    except RangeInvalid:
        return
    assert ranges is None or all(0 <= part.start < part.stop <= size for part in ranges)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=0x1-2",
        "bytes=\u0661-\u0662",
        "bytes=1-2\n",
        "bytes=1-2;",
        "bytes 1-2",
        "bytes=0-1,x",
        "items=0-5",
        "none",
        "=0-5",
    ],
)
def test_a_header_that_is_not_understood_is_ignored(header: str) -> None:
    """Other units and malformed sets count as no header (RFC 9110 section 14.2)."""
    assert parse_ranges(header, 100) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("BYTES=0-9", [(0, 10)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=99-1000", [(99, 100)]),
        ("bytes= 0-1 ,\t5-6,", [(0, 2), (5, 7)]),
        ("bytes=50-59,0-9", [(50, 60), (0, 10)]),
        ("bytes=0-9,20-29,5-14", [(0, 15), (20, 30)]),
        ("bytes=0-1,200-300", [(0, 2)]),
        ("bytes=000-0009", [(0, 10)]),
        (f"bytes=0-{HUGE}", [(0, 100)]),
        (f"bytes=-{HUGE}", [(0, 100)]),
        ("bytes=1-" + "9" * 30_000, [(1, 100)]),
        ("bytes=" + "0" * 30_000 + "1-1", [(1, 2)]),
    ],
)
def test_ranges_of_a_hundred_bytes(header: str, expected: list[tuple[int, int]]) -> None:
    """Single, open, suffix and several ranges; numbers of any length; parts in the order that was asked."""
    assert parse_ranges(header, 100) == tuple(starmap(ByteRange, expected))


@pytest.mark.parametrize(
    "header", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={HUGE}-", "bytes=5-4", "bytes=500-0"]
)
def test_a_range_outside_the_content_is_refused(header: str) -> None:
    """Nothing to send is 416, and so is a range that ends before it starts; the refusal has the true size."""
    with pytest.raises(RangeInvalid) as refused:
        parse_ranges(header, 100)

    assert refused.value.detail == {"size": 100}


def test_too_many_ranges_are_ignored() -> None:
    """One range more than the limit sends the whole content instead."""
    specs: list[Spec] = [(2 * place, 2 * place) for place in range(RANGES_AT_MOST + 1)]

    assert parse_ranges(written(specs), 1000) is None
    assert parse_ranges(written(specs[:-1]), 1000) == tuple(ByteRange(2 * n, 2 * n + 1) for n in range(RANGES_AT_MOST))


def test_overlapping_ranges_never_send_a_byte_twice() -> None:
    """Ranges that together are longer than the content send all of it, once."""
    assert parse_ranges("bytes=0-,0-,0-,0-", 100) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-499", "bytes=-5"])
def test_the_start_of_empty_content_is_all_of_it(header: str) -> None:
    """Clients that always send a range get the empty blob, not a refusal."""
    assert parse_ranges(header, 0) is None


@given(st.integers(0, 2**62), st.integers(1, 2**62), st.integers(0, 2**62))
def test_content_range_is_inclusive(start: int, length: int, rest: int) -> None:
    """The header names the last byte, not the one after it."""
    part = ByteRange(start, start + length)

    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part.content_range(start + length + rest))

    assert found is not None
    assert [int(number) for number in found.groups()] == [start, start + length - 1, start + length + rest]
    assert part.length == length


@given(
    st.integers(0, 2**62 - 1),
    st.integers(1, 2**62),
    st.sampled_from(["{}-{}", "bytes {}-{}/*", "bytes {}-{}", "Bytes  {}-{}/*"]),
)
def test_a_chunk_range_is_read_in_every_form(start: int, length: int, form: str) -> None:
    """The distribution specification's form and HTTP's say the same."""
    chunk = parse_content_range(form.format(start, start + length - 1))

    assert chunk == ChunkRange(start, start + length)
    assert chunk.length == length


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        "0-",
        "-5",
        "a-b",
        "0",
        "0-1-2",
        "0-1/",
        "0-1/x",
        "bytes */100",
        "items 0-1/2",
        "\u0660-\u0661",
        "0-1\n",
        "+0-1",
        "0 - 1",
    ],
)
def test_a_malformed_chunk_range_is_refused(header: str) -> None:
    """What is neither form is BLOB_UPLOAD_INVALID, and no range error."""
    with pytest.raises(BlobUploadInvalid) as refused:
        parse_content_range(header)

    assert not isinstance(refused.value, UploadRangeInvalid)
    assert refused.value.detail["reason"] == "content-range"


@pytest.mark.parametrize(
    "header",
    ["5-4", "bytes 5-4/10", "bytes 0-10/10", f"0-{2**63 - 1}", f"0-{HUGE}", f"{HUGE}-{HUGE}", "0-" + "9" * 30_000],
)
def test_an_impossible_chunk_range_is_a_range_error(header: str) -> None:
    """A chunk that ends before it starts, after its own size or beyond every offset cannot be the next one."""
    with pytest.raises(UploadRangeInvalid) as refused:
        parse_content_range(header)

    assert len(str(refused.value.detail["content_range"])) <= 80


@given(st.text())
def test_any_text_is_a_chunk_range_or_refused(header: str) -> None:
    """Arbitrary text never raises anything but BlobUploadInvalid."""
    try:
        chunk = parse_content_range(header)
    except BlobUploadInvalid:
        return
    assert 0 <= chunk.start < chunk.stop < 2**63
