"""Archives as streams are archives that everybody reads."""

import io
import tarfile
from itertools import starmap
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.targets.packing import Entry, packed, packed_size

NAMES = st.from_regex(r"[a-z0-9]{1,20}(/[a-z0-9.]{1,130}){0,2}", fullmatch=True)
FILES = st.dictionaries(NAMES, st.binary(max_size=1500), max_size=6)


async def stream(entries: list[Entry]) -> bytes:
    """All of it."""
    return b"".join([chunk async for chunk in packed(entries)])


@given(FILES)
async def test_what_is_packed_is_read(files: dict[str, bytes]) -> None:
    """Names, also long ones, and contents; the size is known beforehand, and is whole records."""
    entries = list(starmap(Entry.of, files.items()))
    content = await stream(entries)
    assert len(content) == packed_size(entries)
    assert len(content) % tarfile.RECORDSIZE == 0
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]  # all are files
    assert found == files


async def test_files_of_the_disk(tmp_path: Path) -> None:
    """They are read when it is their turn."""
    (tmp_path / "large").write_bytes(bytes(3_000_000))
    (tmp_path / "empty").touch()
    entries = [Entry.of(name, tmp_path / name) for name in ("large", "empty")]
    with tarfile.open(fileobj=io.BytesIO(await stream(entries)), mode="r:") as archive:
        assert [(member.name, member.size, member.mtime, member.uid) for member in archive] == [
            ("large", 3_000_000, 0, 0),
            ("empty", 0, 0, 0),
        ]


def test_files_larger_than_the_old_format_bears() -> None:
    """Beyond 8 GiB the size stands in an extended header."""
    huge = Entry("huge", b"", 9 << 30)
    assert b"size=9663676416" in huge.header
