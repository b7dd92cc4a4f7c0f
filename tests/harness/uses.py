"""The uses of a registry over a database and a store in memory, without a server."""

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from entrepot.access import ANONYMOUS
from entrepot.metadata import Database
from entrepot.oci import Algorithm, Digest, RepositoryName, Tag
from entrepot.registry import Condition, ManifestPush, Uses
from entrepot.storage import MemoryBlobStore
from harness.protocol import EMPTY, image

NAME = RepositoryName("some/name")
ALWAYS = Condition()


@dataclass(frozen=True)
class Registry:
    """The uses over a database and a store in memory."""

    uses: Uses
    sparse: Uses
    """Those of a registry that takes manifests whose blobs are missing."""
    database: Database
    store: MemoryBlobStore

    async def push_blob(self, content: bytes = EMPTY, name: RepositoryName = NAME) -> Digest:
        """Push a blob through a session."""
        session = await self.uses.start_upload(ANONYMOUS, name, Algorithm.SHA256)
        digest = Digest.of(content)
        await self.uses.finish_upload(ANONYMOUS, name, session, digest, None, body(content))
        return digest

    async def push(
        self,
        manifest: dict[str, Any],
        *tags: str,
        condition: Condition = ALWAYS,
        uses: Uses | None = None,
        name: RepositoryName = NAME,
    ) -> Digest:
        """Push a manifest by its digest, under any number of tags."""
        content = json.dumps(manifest).encode()
        digest = Digest.of(content)
        push = ManifestPush(name, digest, tuple(map(Tag, tags)), None, content, condition, may_move_tags=True)
        await (uses or self.uses).push_manifest(ANONYMOUS, push)
        return digest

    async def image(self, *tags: str) -> Digest:
        """Push an image that is like no other."""
        return await self.push(image(annotations={"n": secrets.token_hex(8)}), *tags)

    async def scalars(self, *columns: Any, where: Any = True) -> list[Any]:
        """Rows of one table, as tuples when there are several columns."""
        statement = select(*columns).where(where).order_by(columns[0])
        rows = await self.database.read(lambda tx: tx.execute(statement).all())
        return [row[0] if len(columns) == 1 else tuple(row) for row in rows]


async def body(*chunks: bytes) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    """The chunks as a body."""
    for chunk in chunks:
        yield chunk
