"""Hashing that can stop in one process and go on in another, and that runs beside what is done with the bytes."""

import asyncio
import hashlib
import struct
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, Protocol, Self

from entrepot.oci import Algorithm, Digest
from entrepot.storage.errors import HashStateUnusable
from entrepot.storage.libcrypto import Context, Sha2, load_libcrypto
from entrepot.storage.threads import settle

HASHED_INLINE_BELOW = 32 * 1024  # bytes that take less time to hash than to hand to a thread

_MAGIC: Final = b"EPHS"
_VERSION: Final = 1
_HEAD = struct.Struct(">4sBBB")  # magic, version, algorithm, length of the library's tag
_LENGTH = struct.Struct(">Q")
_CODES = {Algorithm.SHA256: 1, Algorithm.SHA512: 2}
_CHECKSUM_BYTES = 32


class _Engine(Protocol):
    """What computes the digest."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Saved:
    """A libcrypto context together with its functions."""

    def __init__(self, functions: Sha2, context: Context) -> None:
        self._functions = functions
        self._context = context

    def update(self, data: bytes, /) -> None:
        self._functions.update(self._context, data)

    def digest(self) -> bytes:
        return self._functions.digest(self._context)

    def save(self) -> bytes:
        return self._functions.save(self._context)


class ResumableHash:
    """A hash under way whose state can be saved where the library allows it; safe to use from several threads."""

    def __init__(self, algorithm: Algorithm) -> None:
        library = load_libcrypto()
        self.algorithm = algorithm
        self._length = 0
        self._lock = threading.Lock()  # two updates at a time could make libcrypto write past the context
        self._engine: _Engine
        if library is None:
            self._engine = hashlib.new(algorithm.value)
        else:
            functions = library.algorithms[algorithm]
            self._engine = _Saved(functions, functions.start())

    @property
    def length(self) -> int:
        """Bytes hashed so far."""
        return self._length

    def update(self, data: bytes) -> None:
        """Go on with ``data``; the GIL is released meanwhile."""
        with self._lock:
            self._engine.update(data)
            self._length += len(data)

    def digest(self) -> Digest:
        """The digest of everything so far; the hash can go on."""
        with self._lock:
            return Digest(self.algorithm, self._engine.digest().hex())

    def state(self) -> bytes | None:
        """What ``restore`` needs to go on from here, less than 600 bytes; None where the library cannot be saved."""
        library = load_libcrypto()
        with self._lock:
            if library is None or not isinstance(self._engine, _Saved):
                return None
            head = _HEAD.pack(_MAGIC, _VERSION, _CODES[self.algorithm], len(library.tag))
            state = head + library.tag + _LENGTH.pack(self._length) + self._engine.save()
        return state + hashlib.sha256(state).digest()

    @classmethod
    def restore(cls, state: bytes) -> Self:
        """A hash that goes on where ``state`` was taken, in any process with the same library.

        Raises HashStateUnusable for a state that is damaged, forged or of another library: hash again from the start.
        """
        library = load_libcrypto()
        if library is None:
            raise HashStateUnusable("this Python's hash library cannot be resumed")
        body, checksum = state[:-_CHECKSUM_BYTES], state[-_CHECKSUM_BYTES:]
        if hashlib.sha256(body).digest() != checksum or len(body) < _HEAD.size:
            raise HashStateUnusable("the state is damaged")
        magic, version, code, tag_length = _HEAD.unpack_from(body)
        tag, rest = body[_HEAD.size : _HEAD.size + tag_length], body[_HEAD.size + tag_length :]
        algorithm = next((known for known in _CODES if _CODES[known] == code), None)
        if magic != _MAGIC or version != _VERSION or algorithm is None or len(rest) < _LENGTH.size:
            raise HashStateUnusable("the state has another format")
        if tag != library.tag:
            raise HashStateUnusable("the state is of another hash library")
        (length,) = _LENGTH.unpack_from(rest)
        functions = library.algorithms[algorithm]
        context = functions.load(rest[_LENGTH.size :], length)
        if context is None:
            raise HashStateUnusable("the state contradicts itself")
        restored = cls(algorithm)
        restored._engine = _Saved(functions, context)
        restored._length = length
        return restored


def self_test() -> bool:
    """Whether states can be saved here: tries the library once per process, in a millisecond."""
    return load_libcrypto() is not None


async def hashed(chunks: AsyncIterator[bytes], *hashes: ResumableHash) -> AsyncGenerator[bytes, None]:
    """Pass ``chunks`` on, each hashed in a thread while the consumer is busy with it.

    The hashes have seen every chunk that was passed on when the next one is asked for, at the end, at an error of
    ``chunks``, and once this iterator is closed. Nothing of it runs after that, so a consumer that may stop early
    closes it (``contextlib.aclosing``). ``chunks`` is not closed.
    """
    loop = asyncio.get_running_loop()
    async for chunk in chunks:
        if len(chunk) < HASHED_INLINE_BELOW:
            for target in hashes:
                target.update(chunk)
            yield chunk
            continue
        running = [loop.run_in_executor(None, target.update, chunk) for target in hashes]
        try:
            yield chunk
        finally:
            await settle(*running)
