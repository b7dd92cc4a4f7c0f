"""Upload sessions against a small model: whatever clients do in whatever order, offsets and contents agree."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.access import ANONYMOUS
from entrepot.compose import uses_of
from entrepot.metadata import open_database, upgrade
from entrepot.oci import (
    Algorithm,
    BlobUploadUnknown,
    Digest,
    DigestInvalid,
    RegistryError,
    RepositoryName,
    UploadRangeInvalid,
)
from entrepot.registry import Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from entrepot.testing.blob_store import listed

NAME = RepositoryName("some/name")


class Broken(Exception):
    """The client went away."""


@dataclass
class Session:
    """What a session should be: its bytes, and whether it was closed under a digest or is gone."""

    id: str
    algorithm: Algorithm
    content: bytes = b""
    finished: Digest | None = None
    gone: bool = False


@dataclass
class Model:
    """Every session that was opened, and every blob that should be there."""

    sessions: list[Session] = field(default_factory=list)
    blobs: dict[Digest, bytes] = field(default_factory=dict)


algorithms = st.sampled_from(Algorithm)
contents = st.lists(st.binary(max_size=40), max_size=4)
operations = st.one_of(
    st.tuples(st.just("start"), algorithms),
    st.tuples(st.just("append"), st.integers(0, 3), contents, st.booleans()),
    st.tuples(st.just("break"), st.integers(0, 3), contents),
    st.tuples(st.just("misplace"), st.integers(0, 3), st.integers(1, 9)),
    st.tuples(st.just("close"), st.integers(0, 3), algorithms, st.binary(max_size=9)),
    st.tuples(st.just("close-wrongly"), st.integers(0, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
)


async def body(chunks: list[bytes], *, broken: bool = False) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    """The chunks, and then perhaps nobody any more."""
    for chunk in chunks:
        yield chunk
    if broken:
        raise Broken


async def outcome(step: object) -> type[Exception] | None:
    """The class of error that a step ends with."""
    try:
        await step  # type: ignore[misc]
    except (RegistryError, Broken) as error:
        return type(error)
    return None


async def append(uses: Uses, session: Session, chunks: list[bytes], start: int | None, *, broken: bool = False) -> None:
    """Write to a session; the model takes what came before the break."""
    step = uses.write_upload(ANONYMOUS, NAME, session.id, start, body(chunks, broken=broken))
    ended = session.gone or session.finished is not None
    assert await outcome(step) is (BlobUploadUnknown if ended else Broken if broken else None)
    if not ended:
        session.content += b"".join(chunks)


async def close(uses: Uses, model: Model, session: Session, algorithm: Algorithm, last: bytes) -> None:
    """Close a session under the right digest, with a last chunk or without; a closed one accepts the same again."""
    content = session.content if session.finished else session.content + last
    digest = session.finished or Digest.of(content, algorithm)
    step = uses.finish_upload(ANONYMOUS, NAME, session.id, digest, None, body([last]) if last else None)
    assert await outcome(step) is (BlobUploadUnknown if session.gone else None)
    if not session.gone:
        session.content, session.finished = content, digest
        model.blobs[digest] = content


async def close_wrongly(uses: Uses, session: Session) -> None:
    """Close a session under the digest of something else: that ends it."""
    wrong = Digest.of(session.content + b"?")
    ended = session.gone or session.finished is not None
    step = uses.finish_upload(ANONYMOUS, NAME, session.id, wrong, None, None)
    assert await outcome(step) is (BlobUploadUnknown if ended else DigestInvalid)
    session.gone = session.gone or session.finished is None


async def apply(uses: Uses, model: Model, operation: tuple[object, ...]) -> None:
    """Do one thing to the registry and to the model."""
    if operation[0] == "start":
        algorithm = Algorithm(str(operation[1]))
        model.sessions.append(Session(await uses.start_upload(ANONYMOUS, NAME, algorithm), algorithm))
        return
    if not model.sessions:
        return
    session = model.sessions[int(str(operation[1])) % len(model.sessions)]
    ended = session.gone or session.finished is not None
    match operation:
        case ("append", _, list(chunks), bool(placed)):
            await append(uses, session, chunks, len(session.content) if placed else None)
        case ("break", _, list(chunks)):
            await append(uses, session, chunks, None, broken=True)
        case ("misplace", _, int(by)):
            step = uses.write_upload(ANONYMOUS, NAME, session.id, len(session.content) + by, body([b"x"]))
            assert await outcome(step) is (BlobUploadUnknown if ended else UploadRangeInvalid)
        case ("close", _, Algorithm() as algorithm, bytes(last)):
            await close(uses, model, session, algorithm, last)
        case ("close-wrongly", _):
            await close_wrongly(uses, session)
        case ("cancel", _):
            cancelling = uses.cancel_upload(ANONYMOUS, NAME, session.id)
            assert await outcome(cancelling) is (BlobUploadUnknown if ended else None)
            session.gone = session.gone or session.finished is None


async def check(uses: Uses, model: Model, store: MemoryBlobStore) -> None:
    """Offsets, contents and the store are what the model says."""
    for session in model.sessions:
        if not session.gone and session.finished is None:
            assert await uses.upload_status(ANONYMOUS, NAME, session.id) == len(session.content)
    for digest, content in model.blobs.items():
        blob = (await uses.pull_blob.resolve(NAME, digest)).blob
        assert blob is not None
        assert b"".join([chunk async for chunk in uses.pull_blob.read(NAME, blob, 0, blob.size)]) == content
    stored = sum([await store.size(key) for key in await listed(store)])
    open_bytes = sum(len(session.content) for session in model.sessions if not session.gone and not session.finished)
    assert stored == open_bytes + sum(map(len, model.blobs.values()))


async def run(history: list[tuple[object, ...]]) -> None:
    """Apply a history to a fresh registry, and check after each step."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "entrepot.toml"
        config.write_text("", encoding="utf-8")
        url = f"sqlite:///{folder}/entrepot.db"
        upgrade(url)
        database, store, model = open_database(url), MemoryBlobStore(), Model()
        try:
            uses = uses_of(load_settings({"data": folder}, {}, config).settings, database, store)
            for operation in history:
                await apply(uses, model, operation)
                await check(uses, model, store)
        finally:
            await database.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(operations, min_size=1, max_size=20))
def test_sessions_follow_the_model(history: list[tuple[object, ...]]) -> None:
    """Any history of openings, chunks, breaks, misplaced chunks, closings and cancellations ends as the model says."""
    asyncio.run(run([("start", "sha256"), *history]))
