"""What the collection's statements cost on SQLite, which plans without statistics: nothing goes through a table."""

import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from entrepot.metadata import sqlite as adapter
from entrepot.metadata import upgrade
from harness.collecting import Collecting, collecting
from harness.protocol import index
from harness.uses import NAME

_GROWING = (
    "blob_objects|blob_reviews|blobs|link_reviews|manifest_blobs|manifest_children|manifest_reviews|manifests|"
    "repository_blobs|tags|tag_history|upload_sessions"
)
# Going through a table or an index without a condition, or through all of a repository.
_COSTLY = re.compile(rf"SCAN ({_GROWING})(_\d+)?$|SEARCH ({_GROWING})(_\d+)? .*\(repository_id=\?\)$")


@pytest.fixture
async def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Collecting, list[str]]]:
    """A registry on SQLite, and every statement that it has run, with its values."""
    statements: list[str] = []
    real = adapter.open_file

    def open_traced(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
        connection = real(path, read_only=read_only)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(adapter, "open_file", open_traced)
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    async with collecting(url, tmp_path) as registry:
        yield registry, statements


async def collecting_asks(registry: Collecting, statements: list[str]) -> list[str]:
    """Let time pass and collect, again and again until all has gone that does; returns the collection's statements."""
    asked: list[str] = []
    for _ in range(8):
        await registry.age(timedelta(days=40))
        statements.clear()
        await registry.collect()
        asked += statements
    return asked


def plans_of(statements: list[str], file: Path) -> dict[str, list[str]]:
    """How SQLite carries each statement out, foreign keys included."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA foreign_keys=ON")
    asked = {text for text in statements if re.match(r"SELECT|INSERT|UPDATE|DELETE|WITH", text)}
    plans = {text: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")] for text in asked}
    connection.close()
    return plans


async def test_no_review_goes_through_a_table(traced: tuple[Collecting, list[str]], tmp_path: Path) -> None:
    """Reviewing and removing manifests, links and blobs uses an index for everything, cascades too."""
    registry, statements = traced
    child = await registry.blob_image("v1", content=b"a layer")
    await registry.push(index(await registry.descriptor_of(child)), "index")
    await registry.referrer(child)
    loose = await registry.image()
    await registry.referrer(loose)
    await registry.delete_tag("index")
    asked = await collecting_asks(registry, statements)
    await registry.delete_tag("v1")
    asked += await collecting_asks(registry, statements)
    assert await registry.manifests() == set()

    plans = plans_of(asked, tmp_path / "entrepot.db")

    assert len(plans) > 50
    assert {text: steps for text, steps in plans.items() if any(map(_COSTLY.search, steps))} == {}


async def test_no_step_of_a_deletion_goes_through_another_repository(
    traced: tuple[Collecting, list[str]], tmp_path: Path
) -> None:
    """Deleting a repository costs what it holds."""
    registry, statements = traced
    await registry.blob_image("v1", content=b"a layer")
    statements.clear()

    await registry.collection.delete_repository(registry.actor, NAME)

    plans = plans_of(statements, tmp_path / "entrepot.db")
    assert {
        text: steps for text, steps in plans.items() if any(re.search(rf"SCAN ({_GROWING})$", step) for step in steps)
    } == {}
