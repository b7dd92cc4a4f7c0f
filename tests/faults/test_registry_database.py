"""A registry whose database goes away: 503 everywhere, nothing allowed, nothing said to be absent, and nothing lost."""

import secrets
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from entrepot.access import ANONYMOUS
from entrepot.compose import uses_of
from entrepot.metadata import Database, HotReads, Transaction, open_database, upgrade
from entrepot.oci import (
    Algorithm,
    BlobUploadUnknown,
    Digest,
    ManifestUnknown,
    NameUnknown,
    RepositoryName,
    Tag,
    Unavailable,
    UploadRangeInvalid,
)
from entrepot.registry import ManifestPush, Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from entrepot.testing.blob_store import chunks, listed
from harness.postgresql import PostgresqlServer
from harness.protocol import EMPTY, OCI_MANIFEST, Repository, RunningRegistry, digest_of, registry_in

T = TypeVar("T")
NAME = RepositoryName("some/name")
MIB = 1 << 20


@pytest.fixture(params=["none", "push"])
def registry(
    request: pytest.FixtureRequest, postgresql: PostgresqlServer, tmp_path: Path
) -> Generator[RunningRegistry, None, None]:
    """A registry on PostgreSQL, closed to everybody or open to everybody."""
    with registry_in(tmp_path, database=postgresql.fresh_database(), anonymous=request.param) as running:
        yield running


def _requests(name: str, location: str) -> list[tuple[str, str]]:
    digest = digest_of(EMPTY)
    paths = {
        "GET": ["manifests/v1", f"manifests/{digest}", f"blobs/{digest}", "tags/list", f"referrers/{digest}"],
        "HEAD": ["manifests/v1", f"blobs/{digest}"],
        "POST": ["blobs/uploads/", f"blobs/uploads/?mount={digest}&from=other", f"blobs/uploads/?digest={digest}"],
        "PUT": ["manifests/v1"],
        "DELETE": ["manifests/v1", f"manifests/{digest}", f"blobs/{digest}"],
    }
    listed_paths = [(method, f"/v2/{name}/{path}") for method, found in paths.items() for path in found]
    session = [("GET", location), ("PATCH", location), ("PUT", f"{location}?digest={digest}"), ("DELETE", location)]
    return [*listed_paths, *session, ("GET", "/v2/_catalog")]


def test_without_its_database_a_registry_knows_nothing(registry: RunningRegistry, postgresql: PostgresqlServer) -> None:
    """Every request is 503 with Retry-After, with a password, a token or nothing, whatever was there before."""
    with registry.admin() as admin, registry.client() as anonymous:
        repository = Repository(admin)
        repository.push_image("v1")
        location = repository.start_upload()
        scope = f"repository:{repository.name}:pull,push,delete"
        token = admin.get("/token", params={"scope": scope}).json()["token"]
        postgresql.drop_database(registry.settings.database.reveal())

        with registry.client(Authorization=f"Bearer {token}") as bearer:
            for client in (admin, bearer, anonymous):
                for method, path in _requests(repository.name, location):
                    _refuses(client, method, path)
        _refuses(admin, "GET", "/token")
        _refuses(admin, "GET", "/v2/")
        ready = httpx.get(f"{registry.operations_url}/readyz", timeout=20)
        assert ready.status_code == 503
        assert httpx.get(f"{registry.operations_url}/healthz", timeout=20).status_code == 200


def _refuses(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, content=b"{}" if method in {"PUT", "PATCH"} else None)
    assert (method, path, answer.status_code) == (method, path, 503)
    assert int(answer.headers["retry-after"]) > 0
    if method != "HEAD":
        assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"


def test_a_database_file_that_is_moved_away_is_not_written(tmp_path: Path) -> None:
    """What would go into a file that nobody finds again is 503; when the file is back, pushes go on."""
    with registry_in(tmp_path) as registry, registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image("v1")
        location = repository.start_upload()
        file = registry.settings.data / "entrepot.db"
        away = file.with_name("elsewhere.db")
        file.rename(away)

        for method, path in (
            ("POST", f"{repository.base}/blobs/uploads/"),
            ("PATCH", location),
            ("PUT", f"{location}?digest={digest_of(b'{}')}"),
            ("DELETE", f"{repository.base}/manifests/v1"),
        ):
            _refuses(admin, method, path)

        away.rename(file)
        assert admin.put(location, params={"digest": digest_of(b"{}")}, content=b"{}").status_code == 201
        assert admin.get(f"{repository.base}/manifests/v1").status_code == 200


class FaultyDatabase:
    """A database whose ``nth`` write from now on fails, before it began or after it was committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.hot: HotReads = database.hot
        self.failing_at = 0
        self.committed = False
        self.writes = 0

    def fail(self, nth: int, *, committed: bool) -> None:
        """Let a write fail; counted from 1."""
        self.failing_at, self.committed = self.writes + nth, committed

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit, or fail."""
        self.writes += 1
        fails = self.writes == self.failing_at
        if fails and not self.committed:
            raise Unavailable(reason="unreachable")
        value = await self._database.write(unit)
        if fails:
            raise Unavailable(reason="outcome-unknown")
        return value

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit."""
        return await self._database.read(unit)

    async def ping(self) -> None:
        """Ask for a row."""
        await self._database.ping()

    async def close(self) -> None:
        """Let go."""
        await self._database.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[FaultyDatabase, None]:
    """An empty SQLite database that can fail."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    opened = FaultyDatabase(open_database(url))
    yield opened
    await opened.close()


@pytest.fixture
def store() -> MemoryBlobStore:
    """Objects in memory."""
    return MemoryBlobStore()


@pytest.fixture
def uses(database: FaultyDatabase, store: MemoryBlobStore, tmp_path: Path) -> Uses:
    """The uses over both, with a checkpoint each MiB."""
    config = tmp_path / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    flags = {"data": str(tmp_path), "uploads.checkpoint_bytes": "1MiB"}
    return uses_of(load_settings(flags, {}, config).settings, database, store)


async def _send_until_done(uses: Uses, session: str, content: bytes, digest: Digest) -> int:
    """What a patient client does: ask for the offset, send the rest, close it; returns how often it was refused."""
    refusals = 0
    while True:
        try:
            offset = await uses.upload_status(ANONYMOUS, NAME, session)
        except BlobUploadUnknown:
            await uses.finish_upload(ANONYMOUS, NAME, session, digest, None, None)
            return refusals
        pieces = [content[start : start + MIB] for start in range(offset, len(content), MIB)]
        try:
            written = await uses.write_upload(ANONYMOUS, NAME, session, offset, chunks(*pieces[:-1]))
            offset = written.session.offset
            await uses.finish_upload(ANONYMOUS, NAME, session, digest, offset, chunks(content[offset:]))
        except (Unavailable, UploadRangeInvalid):
            refusals += 1
            assert refusals < 5


@pytest.mark.parametrize("committed", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("nth", range(1, 8))
async def test_an_upload_goes_on_after_the_database_failed(
    uses: Uses, database: FaultyDatabase, store: MemoryBlobStore, nth: int, committed: bool
) -> None:
    """Whichever write fails, and whether or not it was committed, the client ends up with its blob, whole and once."""
    content = secrets.token_bytes(3 * MIB + 1000)
    digest = Digest.of(content)
    session = await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    database.fail(nth, committed=committed)

    assert await _send_until_done(uses, session, content, digest) == 1

    blob = (await uses.pull_blob.resolve(NAME, digest)).blob
    assert blob is not None
    assert b"".join([piece async for piece in uses.pull_blob.read(NAME, blob, 0, blob.size)]) == content
    assert {piece.key for piece in blob.objects} <= {*await listed(store)}


@pytest.mark.parametrize("committed", [True, False], ids=["after", "before"])
async def test_a_push_of_a_manifest_can_be_repeated(uses: Uses, database: FaultyDatabase, committed: bool) -> None:
    """The same request again makes the same manifest and tag, and one line of history."""
    session = await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await uses.finish_upload(ANONYMOUS, NAME, session, Digest.of(EMPTY), None, chunks(EMPTY))
    config = f'{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{digest_of(EMPTY)}","size":2}}'
    content = f'{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{config},"layers":[]}}'.encode()
    push = ManifestPush(NAME, Tag("v1"), (), OCI_MANIFEST, content)
    database.fail(1, committed=committed)

    with pytest.raises(Unavailable):
        await uses.push_manifest(ANONYMOUS, push)
    pushed = await uses.push_manifest(ANONYMOUS, push)

    assert (await uses.pull_manifest.resolve(NAME, Tag("v1"))).manifest is not None
    database.fail(1, committed=committed)
    with pytest.raises(Unavailable):
        await uses.delete_manifest(ANONYMOUS, NAME, pushed.digest)
    if committed:
        with pytest.raises(ManifestUnknown):
            await uses.delete_manifest(ANONYMOUS, NAME, pushed.digest)
    else:
        await uses.delete_manifest(ANONYMOUS, NAME, pushed.digest)
    assert (await uses.pull_manifest.resolve(NAME, Tag("v1"))).manifest is None
    with pytest.raises(NameUnknown):
        await uses.list_tags(RepositoryName("absent"), "", 1)
