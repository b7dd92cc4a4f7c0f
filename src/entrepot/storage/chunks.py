"""Joining chunks, so that hashing and writing take one thread hop per mebibyte."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator

MIB = 1024 * 1024
_CHUNKS_AT_MOST = 1024  # a batch of one-byte chunks would else cost forty times its size


async def batched(chunks: AsyncIterator[bytes], size: int = MIB) -> AsyncGenerator[bytes, None]:
    """Join small chunks to pieces of at most ``size`` bytes; a chunk of half of that or more passes as it is.

    Empty chunks vanish. When ``chunks`` raises an error, the bytes before it come first. ``chunks`` is not closed.
    """
    batch = _Batch(size)
    try:
        async for chunk in chunks:
            for piece in batch.add(chunk):
                yield piece
    except Exception:
        for piece in batch.take():
            yield piece
        raise
    for piece in batch.take():
        yield piece


class _Batch:
    """The chunks that wait for more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._chunks: list[bytes] = []
        self._held = 0

    def add(self, chunk: bytes) -> Iterator[bytes]:
        """Take in a chunk; gives what is ready to go."""
        is_large = 2 * len(chunk) >= self._size
        if is_large or self._held + len(chunk) > self._size or len(self._chunks) == _CHUNKS_AT_MOST:
            yield from self.take()
        if is_large:
            yield chunk
        elif chunk:
            self._chunks.append(chunk)
            self._held += len(chunk)

    def take(self) -> Iterator[bytes]:
        """Everything that waits, as one piece; nothing if nothing waits."""
        if self._chunks:
            piece = b"".join(self._chunks)
            self._chunks, self._held = [], 0
            yield piece
