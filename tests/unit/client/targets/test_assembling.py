"""A file is put together from parts that come in any order, and its digest is always that of all of it."""

import asyncio
import hashlib
import os
import random
from collections.abc import Generator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.client.targets import assembling
from entrepot.client.targets.assembling import Assembly, PartWriter

UNIT = 64


@pytest.fixture(scope="module")
def small_units() -> Generator[None, None, None]:
    """Units of 64 bytes, so that small files have many."""
    with (
        mock.patch.object(assembling, "UNIT_BYTES", UNIT),
        mock.patch.object(assembling, "PART_UNITS", 4),
        mock.patch.object(assembling, "_LONGEST_BATCH_BYTES", 4 * UNIT),
        mock.patch.object(assembling, "_SYNC_BYTES", 8 * UNIT),
    ):
        yield


async def assembled(folder: Path, content: bytes, there: set[int], writers: int, seed: int) -> tuple[str, bytes, bytes]:
    """Put a file together by several writers; the digest, the file, and the journal."""
    source = random.Random(seed)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  any pieces will do
    units = -(-len(content) // UNIT)
    done = bytearray(int(unit in there) for unit in range(units))
    data = os.open(folder / "data", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    journal = os.open(folder / "journal", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        os.pwrite(journal, bytes(done), 0)
        for unit in there:
            os.pwrite(data, content[unit * UNIT : (unit + 1) * UNIT], unit * UNIT)
        async with Assembly(data, journal, done, len(content), "sha256") as assembly:

            async def write() -> None:
                for start, stop in assembly.parts():
                    writer = PartWriter(assembly, start, stop)
                    position = start
                    while position < stop:
                        length = min(source.randint(1, 3 * UNIT), stop - position)
                        await writer.write(content[position : position + length])
                        position += length
                        if source.random() < 0.2:
                            assembly.hurry()
                            await asyncio.sleep(0)
                    await writer.flush()

            async with asyncio.TaskGroup() as group:
                digest = group.create_task(assembly.hashed())
                for _ in range(writers):
                    group.create_task(write())
            await assembly.settled()
            assert assembly.position == len(content)
        return digest.result(), os.pread(data, len(content) + 1, 0), os.pread(journal, units + 1, 0)
    finally:
        os.close(data)
        os.close(journal)


@pytest.mark.usefixtures("small_units")
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40 * UNIT), st.sets(st.integers(0, 39)), st.integers(1, 4), st.integers(0, 2**16))
async def test_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, size: int, there: set[int], writers: int, seed: int
) -> None:
    """Whatever was there, however many write, and however the pieces are cut."""
    content = bytes(number * number % 251 for number in range(size))
    units = -(-size // UNIT)
    there = {unit for unit in there if unit < units}
    digest, file, journal = await assembled(tmp_path_factory.mktemp("file"), content, there, writers, seed)
    assert file == content
    assert digest == hashlib.sha256(content).hexdigest()
    assert journal == b"\x01" * units
