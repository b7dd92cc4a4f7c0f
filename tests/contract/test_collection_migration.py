"""A database from before there was a collection, on both databases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, insert, text

from entrepot.metadata import Event, open_database, schema, upgrade
from entrepot.metadata.tables import (
    DEFAULT_STORE,
    EVERY_PROJECT,
    blob_objects,
    blobs,
    dead_objects,
    manifest_blobs,
    manifests,
    repositories,
    repository_blobs,
    tags,
)
from entrepot.oci import Digest
from harness.collecting import collecting

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=400)
NAME = "old/name"
NAMED, LOOSE, UNLINKED = Digest.of(b"named"), Digest.of(b"loose"), Digest.of(b"unlinked")
TAGGED, UNTAGGED = Digest.of(b"tagged"), Digest.of(b"untagged")


def make_old(connection: Connection) -> None:
    """The schema of the first revision, with content of every kind."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    actor = {"kind": "user", "id": "1", "name": "somebody"}

    def add(table: Any, *rows: dict[str, Any]) -> None:
        connection.execute(insert(table), list(rows))

    by = {f"created_by_{key}": value for key, value in actor.items()}
    add(
        repositories,
        {"project_id": EVERY_PROJECT, "name": NAME, "kind": "hosted", "state": "active", "created_at": LONG_AGO, **by},
    )
    add(
        blobs,
        *(
            {"digest": digest, "size": 5, "state": "stored", "created_at": LONG_AGO}
            for digest in (NAMED, LOOSE, UNLINKED)
        ),
    )
    add(
        blob_objects,
        *(
            {"blob_id": number, "ordinal": 0, "store_id": DEFAULT_STORE, "key": f"objects/aa/aa{number:030}", "size": 5}
            for number in (1, 2, 3)
        ),
    )
    add(
        repository_blobs,
        *({"repository_id": 1, "blob_id": number, "linked_at": LONG_AGO, "lease_until": LONG_AGO} for number in (1, 2)),
    )
    pushed = {f"pushed_by_{key}": value for key, value in actor.items()}
    fields = {"media_type": "a/b", "annotations": "{}", "size": 2, "total_size": 2, "payload": b"{}"}
    times = {"pushed_at": LONG_AGO, "lease_until": LONG_AGO}
    add(
        manifests,
        *({"repository_id": 1, "digest": digest, **fields, **times, **pushed} for digest in (TAGGED, UNTAGGED)),
    )
    add(
        manifest_blobs,
        {
            "manifest_id": 1,
            "ordinal": 0,
            "repository_id": 1,
            "blob_id": 1,
            "digest": NAMED,
            "role": "layer",
            "media_type": "a/b",
        },
    )
    tag = {"name": "v1", "manifest_id": 1, "version": 1, "created_at": LONG_AGO, "moved_at": LONG_AGO}
    add(tags, {"repository_id": 1, **tag})
    dead = text("INSERT INTO dead_objects (key, store_id, size, delete_after) VALUES (:key, 1, 7, 0)")
    connection.execute(dead.bindparams(key=f"objects/bb/bb{0:030}"))


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the first revision, upgraded to this one."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    else:
        url = request.getfixturevalue("postgresql").fresh_database()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        make_old(connection)
    engine.dispose()
    upgrade(url)
    return url


async def test_what_nothing_referred_to_is_queued(old_url: str, tmp_path: Path) -> None:
    """The migration queues manifests without tag, links that nothing names and blobs of no repository, and no other."""
    async with collecting(old_url, tmp_path, open_database(old_url), first_blob=False) as registry:
        assert await registry.queued() == {
            ("manifest", UNTAGGED): Event.PUSHED,
            (NAME, LOOSE): Event.LINKED,
            ("blob", UNLINKED, ""): Event.LINK_GONE,
        }
        found = await registry.scalars(dead_objects.c.size, dead_objects.c.repository, dead_objects.c.attempts)
        assert found == [(7, "", 0)]

        await registry.collect()
        assert await registry.manifests() == {TAGGED, UNTAGGED}
        assert await registry.blobs() == {NAMED, LOOSE, UNLINKED}
        await registry.collect_all()

        assert await registry.manifests() == {TAGGED}
        assert await registry.blobs() == {NAMED}
        status = await registry.collection.status()
        assert (status.dead_objects, status.reclaimed_bytes) == (0, 5 + 5 + 7)
