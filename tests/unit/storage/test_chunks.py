"""Joining small chunks."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.storage import batched


async def source(  # ruff: ignore[unused-async]  an asynchronous iterator is asked for
    pieces: list[bytes], error: BaseException | None = None
) -> AsyncIterator[bytes]:
    """``pieces``, then ``error``."""
    for piece in pieces:
        yield piece
    if error is not None:
        raise error


@given(lengths=st.lists(st.integers(0, 300), max_size=60), size=st.integers(1, 200))
async def test_any_chunks(lengths: list[int], size: int) -> None:
    """The bytes stay the same; pieces are bounded and not empty, and no two neighbours could have been one."""
    chunks = [bytes([number & 255]) * length for number, length in enumerate(lengths)]

    pieces = [piece async for piece in batched(source(chunks), size)]

    assert b"".join(pieces) == b"".join(chunks)
    assert all(0 < len(piece) <= max(size, *lengths) for piece in pieces)
    small = [2 * len(piece) < size for piece in pieces]
    assert not any(one and two for one, two in pairwise(small))


async def test_large_chunks_are_not_copied() -> None:
    """A chunk of at least half the size passes as the object that it is."""
    chunks = [bytes(100), bytes(50), bytes(1000)]

    pieces = [piece async for piece in batched(source(chunks), 100)]

    assert [any(piece is chunk for chunk in chunks) for piece in pieces] == [True, True, True]


async def test_many_tiny_chunks_are_joined_by_thousands() -> None:
    """Chunks of one byte are not kept by the million before they are joined."""
    pieces = [piece async for piece in batched(source([b"x"] * 5000))]

    assert [len(piece) for piece in pieces] == [1024, 1024, 1024, 1024, 904]


async def test_the_bytes_before_an_error_come_first() -> None:
    """What was waiting to be joined is given out before the source's error."""
    error = ConnectionResetError()
    stream = batched(source([b"a", b"b"], error), 100)

    assert await anext(stream) == b"ab"
    with pytest.raises(ConnectionResetError) as raised:
        await anext(stream)
    assert raised.value is error


async def test_a_cancelled_source_gives_nothing_more() -> None:
    """A cancellation is not held up by what was waiting."""
    stream = batched(source([b"a", b"b"], asyncio.CancelledError()), 100)

    with pytest.raises(asyncio.CancelledError):
        await anext(stream)
