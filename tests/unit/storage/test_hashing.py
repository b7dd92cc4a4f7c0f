"""Hashes that stop and go on, and the hashing of streams."""

import asyncio
import ctypes
import hashlib
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import Algorithm, Digest
from entrepot.storage import HashStateUnusable, ResumableHash, hashed, self_test
from entrepot.storage.hashing import HASHED_INLINE_BELOW
from entrepot.storage.libcrypto import load_libcrypto

ALGORITHMS = st.sampled_from(list(Algorithm))
PARTS = st.lists(st.binary(max_size=300), max_size=12)


def state_of(content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> bytes:
    """The state after ``content``, on a Python whose states can be saved."""
    target = ResumableHash(algorithm)
    target.update(content)
    state = target.state()
    assert state is not None
    return state


def sealed(body: bytes) -> bytes:
    """A state with a checksum that is right, whatever it says."""
    return body + hashlib.sha256(body).digest()


class TestResumableHash:
    """The digest, whatever happens on the way to it."""

    def test_states_can_be_saved_here(self) -> None:
        """The Python that runs these tests has a libcrypto whose states can be saved."""
        assert self_test()

    @given(algorithm=ALGORITHMS, parts=PARTS)
    def test_any_split(self, algorithm: Algorithm, parts: list[bytes]) -> None:
        """The digest and the length do not depend on how the bytes were split."""
        target = ResumableHash(algorithm)
        for part in parts:
            target.update(part)

        assert target.digest() == Digest.of(b"".join(parts), algorithm)
        assert target.length == len(b"".join(parts))

    @given(algorithm=ALGORITHMS, parts=PARTS)
    def test_restored_after_every_part(self, algorithm: Algorithm, parts: list[bytes]) -> None:
        """A hash that is saved and restored after every part gives hashlib's digest."""
        target = ResumableHash(algorithm)
        for part in parts:
            target.update(part)
            state = target.state()
            assert state is not None
            target = ResumableHash.restore(state)

        assert target.algorithm is algorithm
        assert target.length == len(b"".join(parts))
        assert target.digest() == Digest.of(b"".join(parts), algorithm)

    @given(algorithm=ALGORITHMS, first=st.binary(max_size=300), second=st.binary(max_size=300))
    def test_digest_and_state_change_nothing(self, algorithm: Algorithm, first: bytes, second: bytes) -> None:
        """A hash goes on after its digest was taken and its state saved, and what was restored goes its own way."""
        target = ResumableHash(algorithm)
        target.update(first)
        state = target.state()
        assert target.digest() == target.digest() == Digest.of(first, algorithm)
        assert state is not None
        other = ResumableHash.restore(state)
        other.update(b"something else")
        target.update(second)

        assert target.digest() == Digest.of(first + second, algorithm)
        assert ResumableHash.restore(state).digest() == Digest.of(first, algorithm)

    @pytest.mark.parametrize("algorithm", Algorithm)
    def test_another_process_goes_on(self, algorithm: Algorithm) -> None:
        """A state saved here is continued by another process."""
        program = (
            "import sys; from entrepot.storage import ResumableHash\n"
            "target = ResumableHash.restore(bytes.fromhex(sys.argv[1])); target.update(b'end'); print(target.digest())"
        )
        state = state_of(b"first" * 1000, algorithm)

        output = subprocess.run(
            [sys.executable, "-c", program, state.hex()], check=True, capture_output=True, text=True, timeout=60
        )

        assert output.stdout.strip() == str(Digest.of(b"first" * 1000 + b"end", algorithm))

    def test_a_length_beyond_32_bits_of_bit_count(self) -> None:
        """A state keeps a length whose count in bits needs the context's second word."""
        target = ResumableHash(Algorithm.SHA256)
        expected = hashlib.sha256()
        piece = bytes(64 * 1024 * 1024)
        for _ in range(9):
            target.update(piece)
            expected.update(piece)
        state = target.state()
        assert state is not None

        assert ResumableHash.restore(state).length == 9 * len(piece)
        assert ResumableHash.restore(state).digest().encoded == expected.hexdigest()

    def test_bytes_only(self) -> None:
        """What is no bytes is refused and not counted."""
        target = ResumableHash(Algorithm.SHA256)

        with pytest.raises((TypeError, ctypes.ArgumentError)):
            target.update("text")  # type: ignore[arg-type]

        assert target.length == 0
        assert target.digest() == Digest.of(b"")

    def test_two_threads_do_not_break_it(self) -> None:
        """Updates from two threads come one after the other; the order of equal pieces is all the same."""
        target = ResumableHash(Algorithm.SHA256)
        piece = b"x" * 10_007

        def work() -> None:
            for _ in range(200):
                target.update(piece)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert target.digest() == Digest.of(piece * 400)


class TestUnusableStates:
    """States that are damaged, forged or of another place; libcrypto would believe them."""

    @given(content=st.binary(max_size=200), position=st.integers(min_value=0), bit=st.integers(0, 7))
    def test_any_flipped_bit(self, content: bytes, position: int, bit: int) -> None:
        """A state with a single bit flipped is refused."""
        state = bytearray(state_of(content))
        state[position % len(state)] ^= 1 << bit

        with pytest.raises(HashStateUnusable):
            ResumableHash.restore(bytes(state))

    @given(content=st.binary(max_size=200), length=st.integers(min_value=0))
    def test_any_shortened_state(self, content: bytes, length: int) -> None:
        """A state that lacks its end is refused."""
        state = state_of(content)

        with pytest.raises(HashStateUnusable):
            ResumableHash.restore(state[: length % len(state)])

    @given(junk=st.binary(max_size=400))
    def test_any_junk(self, junk: bytes) -> None:
        """Arbitrary bytes are refused, also under a checksum that is right."""
        for state in (junk, sealed(junk), sealed(b"EPHS\x01\x01" + junk)):
            with pytest.raises(HashStateUnusable):
                ResumableHash.restore(state)

    @pytest.mark.parametrize("algorithm", Algorithm)
    @given(data=st.data())
    def test_any_forged_counters(self, algorithm: Algorithm, data: st.DataObject) -> None:
        """A context whose counters contradict its length is refused even if the checksum is right.

        The count of pending bytes would make the library write behind its block.
        """
        state = state_of(b"x" * 70, algorithm)
        counters = {Algorithm.SHA256: (32, 104), Algorithm.SHA512: (64, 208)}[algorithm]
        size = {Algorithm.SHA256: 112, Algorithm.SHA512: 216}[algorithm]
        body = bytearray(state[:-32])
        places = [*range(counters[0], counters[0] * 5 // 4), *range(counters[1], counters[1] + 8)]
        place = len(body) - size + data.draw(st.sampled_from(places))
        body[place] ^= data.draw(st.integers(1, 255))

        with pytest.raises(HashStateUnusable):
            ResumableHash.restore(sealed(bytes(body)))

    @pytest.mark.parametrize("length", [0, 71, 134, 2**61 - 1, 2**64 - 1])
    def test_a_forged_length(self, length: int) -> None:
        """A state that claims another length than its context counted is refused."""
        body = bytearray(state_of(b"x" * 70)[:-32])
        body[-120:-112] = struct.pack(">Q", length)

        with pytest.raises(HashStateUnusable):
            ResumableHash.restore(sealed(bytes(body)))

    def test_another_library(self) -> None:
        """A state whose tag names another libcrypto is refused, with a sentence that says so."""
        library = load_libcrypto()
        assert library is not None
        body = state_of(b"content")[:-32]
        other = body.replace(library.tag, library.tag[:-1] + b"?")

        with pytest.raises(HashStateUnusable, match="another hash library"):
            ResumableHash.restore(sealed(other))

    def test_another_format(self) -> None:
        """A state of a later version of this format is refused."""
        body = bytearray(state_of(b"content")[:-32])
        body[4] = 2

        with pytest.raises(HashStateUnusable, match="another format"):
            ResumableHash.restore(sealed(bytes(body)))

    def test_another_algorithm(self) -> None:
        """A state of one algorithm is not taken for one of the other."""
        body = bytearray(state_of(b"content")[:-32])
        body[5] = 2

        with pytest.raises(HashStateUnusable, match="contradicts"):
            ResumableHash.restore(sealed(bytes(body)))


class TestWithoutLibcrypto:
    """A Python whose OpenSSL has no such functions, or does not pass the test."""

    PROGRAM = """
import ctypes, sys
from entrepot.oci import Algorithm, Digest
from entrepot.storage import HashStateUnusable, ResumableHash, self_test, libcrypto
saved = ResumableHash(Algorithm.SHA256).state()
libcrypto.load_libcrypto.cache_clear()
{break_it}
assert not self_test()
for algorithm in Algorithm:
    target = ResumableHash(algorithm)
    target.update(b"one"), target.update(b"two")
    assert target.digest() == target.digest() == Digest.of(b"onetwo", algorithm)
    assert (target.length, target.state()) == (6, None)
try:
    ResumableHash.restore(saved)
except HashStateUnusable:
    print("refused")
"""

    @pytest.mark.parametrize(
        "break_it",
        [
            "libcrypto._hashlib = None",
            "libcrypto._hashlib = ctypes",  # a module that is linked with no libcrypto
            "libcrypto._hashlib.__file__ = '/nonexistent.so'",
            "libcrypto._LAYOUTS[Algorithm.SHA512] = libcrypto._Layout(word=8, block=112, digest=64)",
            "libcrypto._LAYOUTS[Algorithm.SHA256] = libcrypto._Layout(word=4, block=72, digest=32)",
        ],
    )
    def test_hashes_without_states(self, break_it: str) -> None:
        """Digests are right, there is no state, and one that was saved elsewhere is refused."""
        program = self.PROGRAM.format(break_it=break_it)

        output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)

        assert output.stdout.strip() == "refused"


class TestHashed:
    """The stream that is hashed while it passes."""

    @staticmethod
    async def source(*pieces: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
        """``pieces``, then ``error``."""
        for piece in pieces:
            yield piece
        if error is not None:
            raise error

    @pytest.mark.parametrize("size", [1, HASHED_INLINE_BELOW - 1, HASHED_INLINE_BELOW, 300_000])
    async def test_every_hash_sees_every_chunk(self, size: int) -> None:
        """Chunks of any size come out as they went in, and all hashes have seen them at the end."""
        pieces = [bytes([number]) * size for number in range(10)]
        one, two = ResumableHash(Algorithm.SHA256), ResumableHash(Algorithm.SHA512)

        passed = [piece async for piece in hashed(self.source(*pieces), one, two)]

        assert passed == pieces
        assert one.digest() == Digest.of(b"".join(pieces), Algorithm.SHA256)
        assert two.digest() == Digest.of(b"".join(pieces), Algorithm.SHA512)

    async def test_hashing_is_done_before_the_next_chunk(self) -> None:
        """When the source is asked for its next chunk, the hash has seen all before."""
        target = ResumableHash(Algorithm.SHA256)
        seen: list[int] = []

        async def watched() -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  an asynchronous iterator is asked for
            for _ in range(5):
                seen.append(target.length)
                yield bytes(1_000_000)

        async for _ in hashed(watched(), target):
            await asyncio.sleep(0)

        assert seen == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]
        assert target.length == 5_000_000

    async def test_an_error_of_the_source_comes_after_the_hashing(self) -> None:
        """The source's error passes through, with every chunk before it hashed."""
        target = ResumableHash(Algorithm.SHA256)

        with pytest.raises(ConnectionResetError):
            async for _ in hashed(self.source(bytes(500_000), bytes(500_000), error=ConnectionResetError()), target):
                pass

        assert target.digest() == Digest.of(bytes(1_000_000))

    async def test_closing_waits_for_the_hashing(self) -> None:
        """A consumer that closes the stream finds the chunk it got hashed."""
        target = ResumableHash(Algorithm.SHA256)

        async with aclosing(hashed(self.source(bytes(20_000_000), bytes(1_000_000)), target)) as stream:
            await anext(stream)

        assert target.digest() == Digest.of(bytes(20_000_000))

    async def test_cancelling_waits_for_the_hashing(self) -> None:
        """Cancelled while it waits for a hash, the stream ends only when the hash is done."""
        target = ResumableHash(Algorithm.SHA256)
        started = asyncio.Event()

        async def consume() -> None:
            async with aclosing(hashed(self.source(bytes(60_000_000), bytes(1_000_000)), target)) as stream:
                async for _ in stream:
                    started.set()

        task = asyncio.create_task(consume())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert target.length == 60_000_000
        assert target.digest() == Digest.of(bytes(60_000_000))

    async def test_large_chunks_leave_the_loop_free(self) -> None:
        """The event loop turns while a large chunk is being hashed."""
        target = ResumableHash(Algorithm.SHA512)
        turns = 0

        async with aclosing(hashed(self.source(bytes(60_000_000)), target)) as stream:
            await anext(stream)
            while target.length == 0:
                turns += 1
                await asyncio.sleep(0)

        assert turns > 10
