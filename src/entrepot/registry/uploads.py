"""Upload sessions: opening one, and writing to it so that any process can go on (distribution spec, "Pushing blobs").

Bytes go to the store first; the session's row says how many of them are durable. A writer claims the session under a
new epoch and can record progress only while the epoch is its own, so whoever takes over shuts it out.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Self

from entrepot.access import Principal
from entrepot.metadata import (
    Database,
    Transaction,
    UploadSession,
    add_object,
    bury_objects,
    checkpoint_session,
    claim_session,
    count_open_sessions,
    ensure_repository,
    find_repository,
    find_session,
    open_session,
    remove_session,
)
from entrepot.oci import (
    Algorithm,
    BlobTooLarge,
    BlobUploadUnknown,
    Digest,
    RepositoryName,
    TooManyRequests,
    UploadRangeInvalid,
)
from entrepot.registry.limits import UploadLimits
from entrepot.registry.objects import LATE_WRITER, delete_buried, new_object, read_objects
from entrepot.storage import (
    BlobStore,
    HashStateUnusable,
    ObjectUnknown,
    ResumableHash,
    StoreFull,
    StoreUnavailable,
    batched,
    hashed,
)


def load_session(
    tx: Transaction, name: RepositoryName, session_id: str, principal: Principal, *, lock: bool = False
) -> UploadSession:
    """The principal's own session in this repository; raises BlobUploadUnknown alike for every reason it is not."""
    session = find_session(tx, session_id, lock=lock)
    if session is None or session.principal != principal.id or session.repository_id != find_repository(tx, name):
        raise BlobUploadUnknown
    return session


def load_open_session(
    tx: Transaction, name: RepositoryName, session_id: str, principal: Principal, *, lock: bool = False
) -> UploadSession:
    """Likewise, and not finished; raises BlobUploadUnknown."""
    session = load_session(tx, name, session_id, principal, lock=lock)
    if session.finished_digest is not None:
        raise BlobUploadUnknown
    return session


async def rehash(store: BlobStore, session: UploadSession, algorithm: Algorithm) -> ResumableHash:
    """Hash the durable bytes of a session by reading them again."""
    digester = ResumableHash(algorithm)
    async with contextlib.aclosing(hashed(read_objects(store, session.objects, 0, session.offset), digester)) as bytes_:
        async for _ in bytes_:
            pass
    return digester


async def resume_hash(store: BlobStore, session: UploadSession) -> ResumableHash:
    """The hash over the session's durable bytes: from its saved state where that can be used, else read again."""
    if session.offset == 0:
        return ResumableHash(session.algorithm)
    if session.hash_state is not None:
        with contextlib.suppress(HashStateUnusable):
            digester = ResumableHash.restore(session.hash_state)
            if digester.length == session.offset and digester.algorithm is session.algorithm:
                return digester
    return await rehash(store, session, session.algorithm)


async def discard_session(database: Database, store: BlobStore, session: UploadSession) -> None:
    """End a session without a blob: its row goes, its objects die, and the bytes that ``session`` knows are deleted."""
    written = [piece for piece in session.objects if piece.size]
    keys = {piece.key for piece in written}

    def unit(tx: Transaction) -> bool:
        current = find_session(tx, session.id, lock=True)
        if current is None or current.finished_digest is not None:
            return False
        others = [piece for piece in current.objects if piece.key not in keys]
        bury_objects(tx, written, delete_after=tx.now)
        bury_objects(tx, others, delete_after=tx.now + LATE_WRITER)
        remove_session(tx, current)
        return True

    if await database.write(unit):
        await delete_buried(database, store, written)


@contextlib.asynccontextmanager
async def ending_if_lost(database: Database, store: BlobStore, session: UploadSession) -> AsyncGenerator[None]:
    """Where the store lacks durable bytes of ``session``: end it unless it has moved on, and raise BlobUploadUnknown.

    They are missing when the session was ended while its writer slept, or when the store has lost them; in both cases
    the client has to begin anew.
    """
    try:
        yield
    except ObjectUnknown as lost:
        current = await database.read(lambda tx: find_session(tx, session.id))
        if current is not None and current.epoch == session.epoch:
            await discard_session(database, store, current)
        raise BlobUploadUnknown(reason="lost") from lost


@dataclass(frozen=True, slots=True)
class StartUpload:
    """Open an upload session (end-4a, end-4c)."""

    database: Database
    limits: UploadLimits

    async def __call__(self, principal: Principal, name: RepositoryName, algorithm: Algorithm) -> str:
        """Make the repository if need be and a session in it; returns the session's id.

        Raises TooManyRequests if the principal has too many sessions open.
        """
        session_id = secrets.token_hex(16)
        first = new_object()
        limits = self.limits

        def unit(tx: Transaction) -> None:
            if count_open_sessions(tx, principal.id, limits.sessions_at_most) >= limits.sessions_at_most:
                raise TooManyRequests(reason="open-uploads", limit=limits.sessions_at_most)
            repository_id = ensure_repository(tx, name, principal.actor)
            open_session(tx, session_id, repository_id, principal.id, algorithm, first, limits.session_lifetime)

        await self.database.write(unit)
        return session_id


class _Feed:
    """A body cut into segments, each of which ends where a checkpoint is due.

    A failure of the body, such as a client that vanished, ends the running segment in order; it is kept in
    ``failure``, so that what came before it can be made durable first. Whoever makes a feed closes it.
    """

    def __init__(self, body: AsyncIterator[bytes], limits: UploadLimits, room: int) -> None:
        self._body = body
        self._limits = limits
        self._room = room
        self._reading: asyncio.Task[bytes | None] | None = None
        self.ended = False
        self.failure: Exception | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all of the body was passed on."""
        return self.ended and self.failure is None

    async def segment(self) -> AsyncGenerator[bytes, None]:
        """The next bytes, up to the point where a checkpoint is due or the body ends."""
        loop = asyncio.get_running_loop()
        due: float | None = None  # while there is nothing to record, silence may last
        length = 0
        while length < self._limits.checkpoint_bytes:
            if not await self._is_next_here(None if due is None else due - loop.time()):
                return
            try:
                chunk = await self._next()
            except Exception as failure:  # ruff: ignore[blind-except]  whatever it is, it is raised again after the checkpoint
                self.failure, self.ended = failure, True
                return
            if chunk is None:
                self.ended = True
                return
            length += len(chunk)
            self._room -= len(chunk)
            if self._room < 0:
                self.failure, self.ended = BlobTooLarge(limit=self._limits.blob_bytes_at_most), True
                return
            yield chunk
            due = due or loop.time() + self._limits.checkpoint_interval.total_seconds()

    async def aclose(self) -> None:
        """Give up the reading of the body that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.exception()  # looked at, or asyncio would complain that nobody did

    async def _is_next_here(self, patience: float | None) -> bool:
        """Wait for the next chunk, the end or a failure for so many seconds; the reading goes on when they are over."""
        if patience is not None and patience <= 0:
            return False
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        done, _ = await asyncio.wait([self._reading], timeout=patience)
        return bool(done)

    async def _next(self) -> bytes | None:
        """The chunk that is here, None at the end; raises what the body raised."""
        assert self._reading is not None
        reading, self._reading = self._reading, None
        return await reading

    async def _read(self) -> bytes | None:
        return await anext(self._body, None)


@dataclass(frozen=True, slots=True)
class Written:
    """A session after a body was written to it, and the hash over all its bytes.

    All ``session.offset`` bytes are durable; the row counts the first ``recorded`` of them.
    """

    session: UploadSession
    digester: ResumableHash
    recorded: int

    def grown_to(self, length: int) -> Self:
        """The same with the session's last object ``length`` bytes long."""
        *others, last = self.session.objects
        offset = self.session.offset - last.size + length
        objects = (*others, replace(last, size=length))
        return replace(self, session=replace(self.session, offset=offset, objects=objects))


@dataclass(frozen=True, slots=True)
class WriteUpload:
    """Append a chunk or a stream to an upload session (end-5, and the body of end-6)."""

    database: Database
    store: BlobStore
    limits: UploadLimits

    async def __call__(
        self,
        principal: Principal,
        name: RepositoryName,
        session_id: str,
        start: int | None,
        body: AsyncIterator[bytes],
        *,
        closing: bool = False,
    ) -> Written:
        """Write ``body`` from the session's end on, which ``start`` must be if given; all of it is durable on return.

        With ``closing`` the last checkpoint is left to the caller, whose own transaction ends the session. Raises
        BlobUploadUnknown, also when the session was ended meanwhile or its bytes are lost, which ends it;
        UploadRangeInvalid if ``start`` is elsewhere or another writer took over; StoreFull, StoreUnavailable and what
        the body raises, after what came before is durable.
        """
        session = await self.database.write(lambda tx: self._claim(tx, principal, name, session_id, start))
        async with ending_if_lost(self.database, self.store, session):
            return await self._write(session, body, closing=closing)

    async def _write(self, session: UploadSession, body: AsyncIterator[bytes], *, closing: bool) -> Written:
        written = Written(session, await resume_hash(self.store, session), session.offset)
        feed = _Feed(body, self.limits, self.limits.blob_bytes_at_most - session.offset)
        async with contextlib.aclosing(feed):
            while not feed.ended:
                written = await self._write_segment(written, feed)
                if not (closing and feed.is_complete):
                    written = await self._checkpoint(written, writing=not feed.ended)
        if feed.failure is not None:
            raise feed.failure
        return written

    def _claim(
        self, tx: Transaction, principal: Principal, name: RepositoryName, session_id: str, start: int | None
    ) -> UploadSession:
        session = load_open_session(tx, name, session_id, principal, lock=True)
        if start is not None and start != session.offset:
            raise UploadRangeInvalid(offset=session.offset)
        if session.writing:
            # The last writer may be alive and still appending: its object is left to it from here on.
            fresh = new_object()
            add_object(tx, session.id, len(session.objects), fresh)
            session = replace(session, objects=(*session.objects, fresh))
        return claim_session(tx, session)

    async def _write_segment(self, written: Written, feed: _Feed) -> Written:
        piece = written.session.objects[-1]
        try:
            async with contextlib.aclosing(hashed(batched(feed.segment()), written.digester)) as chunks:
                length = await self.store.append(piece.key, piece.size, chunks)
            await self.store.sync(piece.key)
        except (StoreFull, StoreUnavailable):
            await self._cut_back(written)
            raise
        return written.grown_to(length)

    async def _checkpoint(self, written: Written, *, writing: bool) -> Written:
        state = written.digester.state()
        lifetime = self.limits.session_lifetime

        def unit(tx: Transaction) -> None:
            if not checkpoint_session(tx, written.session, state, writing=writing, lifetime=lifetime):
                current = find_session(tx, written.session.id)
                if current is None or current.finished_digest is not None:
                    raise BlobUploadUnknown
                raise UploadRangeInvalid(offset=current.offset, reason="taken-over")

        await self.database.write(unit)
        return replace(written, recorded=written.session.offset)

    async def _cut_back(self, written: Written) -> None:
        """Give back the room of bytes that are not part of any checkpoint, as far as the store lets us."""
        piece = written.session.objects[-1]
        with contextlib.suppress(StoreFull, StoreUnavailable):
            await self.store.append(piece.key, piece.size, _nothing())


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """Say how far an upload is durable (end-13)."""

    database: Database

    async def __call__(self, principal: Principal, name: RepositoryName, session_id: str) -> int:
        """The session's offset in bytes; raises BlobUploadUnknown."""
        session = await self.database.read(lambda tx: load_open_session(tx, name, session_id, principal))
        return session.offset


@dataclass(frozen=True, slots=True)
class CancelUpload:
    """End an upload session and free its bytes (end-14)."""

    database: Database
    store: BlobStore

    async def __call__(self, principal: Principal, name: RepositoryName, session_id: str) -> None:
        """Discard the session; raises BlobUploadUnknown."""
        session = await self.database.read(lambda tx: load_open_session(tx, name, session_id, principal))
        await discard_session(self.database, self.store, session)


async def digest_of(store: BlobStore, written: Written, wanted: Digest) -> Digest:
    """The digest of a session's bytes in the algorithm of ``wanted``; another one than was hashed reads them again."""
    if written.session.algorithm is wanted.algorithm:
        return written.digester.digest()
    return (await rehash(store, written.session, wanted.algorithm)).digest()


async def _nothing() -> AsyncGenerator[bytes, None]:  # ruff: ignore[unused-async]  an empty iterator has nothing to wait for
    for _ in ():
        yield b""
