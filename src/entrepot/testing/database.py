"""The contract of the ``Database`` port, as a suite that an adapter's tests subclass.

A subclass gives a fixture ``database``: open, its schema as ``entrepot db upgrade`` makes it, and fresh for each test.
The tests are coroutines: run them with pytest-asyncio in auto mode.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, delete, insert, select, update

from entrepot.metadata import (
    BlobKey,
    Database,
    ForeignKeyViolation,
    ManifestKey,
    ReadOnlyViolation,
    RepositoryKey,
    ResolvedBlob,
    ResolvedManifest,
    StoredObject,
    Transaction,
    UniqueViolation,
    UserRow,
    add_user,
    find_user_by_name,
    set_password_hash,
)
from entrepot.metadata.access_tables import accounts
from entrepot.metadata.tables import (
    DEFAULT_STORE,
    EVERY_PROJECT,
    blob_objects,
    blobs,
    manifests,
    projects,
    repositories,
    repository_blobs,
    tags,
    versions,
)
from entrepot.oci import Algorithm, Digest, RepositoryName, Tag, Unavailable

WAIT = 20.0  # seconds after which a test that hangs fails
QUEUED_AT_MOST = 5000  # an adapter must have refused units before so many wait

_numbers = itertools.count()


def _unique(prefix: str) -> str:
    return f"{prefix}{next(_numbers)}"


def add_project(tx: Transaction, name: str) -> int:
    """A project's row; a small write that tests tell apart by its name."""
    added = tx.dialect.insert(projects).values(uid=name, name=name, created_at=tx.now).returning(projects.c.id)
    return int(tx.execute(added).scalar_one())


def _adding_project(name: str) -> Callable[[Transaction], int]:
    return lambda tx: add_project(tx, name)


def _moving_tags(manifest_id: int) -> Callable[[Transaction], int]:
    return lambda tx: int(tx.execute(update(tags).values(manifest_id=manifest_id)).rowcount)


def _querying_user(name: str) -> Callable[[Transaction], UserRow | None]:
    return lambda tx: find_user_by_name(tx, name)


def has_project(tx: Transaction, name: str) -> bool:
    """Whether that row is there."""
    return tx.execute(select(projects.c.id).where(projects.c.name == name)).one_or_none() is not None


def project_names(tx: Transaction) -> list[str]:
    """The names of all projects but ``*``, in the database's order."""
    return list(tx.execute(select(projects.c.name).where(projects.c.name != "*").order_by(projects.c.name)).scalars())


class Refused(Exception):
    """What units of the tests raise."""


class DatabaseContract:
    """What every database does."""

    async def test_a_unit_is_there_once_write_returned(self, database: Database) -> None:
        """The value of a unit comes back, and the next unit sees its rows."""
        number = await database.write(lambda tx: add_project(tx, "one"))

        assert await database.read(lambda tx: tx.execute(select(projects.c.name).where(projects.c.id == number)).one())
        assert await database.write(lambda tx: has_project(tx, "one"))

    async def test_a_unit_that_raises_leaves_nothing(self, database: Database) -> None:
        """All of a unit's rows go when it raises, and what it raised comes out."""

        def unit(tx: Transaction) -> None:
            add_project(tx, "one")
            add_project(tx, "two")
            raise Refused

        with pytest.raises(Refused):
            await database.write(unit)

        assert await database.read(project_names) == []

    async def test_a_failing_unit_spoils_no_other(self, database: Database) -> None:
        """Of units that run at once, those that raise or break a constraint are undone and all others are kept."""
        raising, colliding = range(1, 50, 5), range(2, 50, 5)

        def unit(number: int) -> Callable[[Transaction], int]:
            def run(tx: Transaction) -> int:
                add_project(tx, f"{number:03}")
                if number in raising:
                    raise Refused
                if number in colliding:
                    add_project(tx, "*")
                return number

            return run

        answers = await asyncio.gather(*(database.write(unit(n)) for n in range(50)), return_exceptions=True)

        kept = [number for number in range(50) if number not in {*raising, *colliding}]
        assert [answer for answer in answers if isinstance(answer, int)] == kept
        assert all(isinstance(answer, Refused) for answer in answers[1::5])
        assert all(isinstance(answer, UniqueViolation) for answer in answers[2::5])
        assert await database.read(project_names) == [f"{number:03}" for number in kept]

    async def test_every_writer_gets_its_own_answer(self, database: Database) -> None:
        """64 units at once give 64 answers, each its own, and 64 rows."""
        names = [f"{number:03}" for number in range(64)]

        async def write(name: str) -> tuple[str, int]:
            return name, await database.write(lambda tx: add_project(tx, name))

        answers = dict(await asyncio.gather(*(write(name) for name in names)))

        stored = await database.read(
            lambda tx: {row.name: row.id for row in tx.execute(select(projects).where(projects.c.name != "*"))}
        )
        assert answers == stored

    async def test_a_counter_counts_every_unit(self, database: Database) -> None:
        """No update is lost when units change the same row at once."""
        raise_by_one = update(versions).values(access_version=versions.c.access_version + 1)
        before = await database.hot.access_version()

        await asyncio.gather(*(database.write(lambda tx: tx.execute(raise_by_one).rowcount) for _ in range(64)))

        assert await database.hot.access_version() == before + 64

    async def test_a_unique_key_is_kept(self, database: Database) -> None:
        """A second row with the same key raises UniqueViolation."""
        await database.write(lambda tx: add_project(tx, "one"))

        with pytest.raises(UniqueViolation):
            await database.write(lambda tx: add_project(tx, "one"))

    async def test_a_missing_parent_is_refused(self, database: Database) -> None:
        """A row that refers to nothing raises ForeignKeyViolation."""
        with pytest.raises(ForeignKeyViolation):
            await database.write(lambda tx: _add_repository(tx, "a", project_id=4711))

    async def test_a_row_in_use_stays(self, database: Database) -> None:
        """Deleting a row that others refer to raises ForeignKeyViolation."""
        await database.write(lambda tx: _add_repository(tx, "a"))

        with pytest.raises(ForeignKeyViolation):
            await database.write(lambda tx: tx.execute(delete(projects).where(projects.c.id == EVERY_PROJECT)).rowcount)

        assert await database.read(lambda tx: has_project(tx, "*"))

    async def test_a_swallowed_error_spoils_the_unit(self, database: Database) -> None:
        """A unit that catches a violation and goes on cannot, and nothing of it is kept."""
        later: list[type[Exception]] = []

        def unit(tx: Transaction) -> None:
            add_project(tx, "one")
            with pytest.raises(UniqueViolation):
                add_project(tx, "*")
            try:
                add_project(tx, "two")
            except UniqueViolation as error:
                later.append(type(error))

        with pytest.raises(UniqueViolation):
            await database.write(unit)

        assert set(later) == {UniqueViolation}
        assert await database.read(project_names) == []

    async def test_an_upsert_is_the_same_everywhere(self, database: Database) -> None:
        """``on_conflict_do_nothing`` and ``on_conflict_do_update`` tell what they did."""

        def offer(tx: Transaction) -> int | None:
            values = {"uid": "u", "name": "one", "created_at": tx.now}
            offered = tx.dialect.insert(projects).values(values).on_conflict_do_nothing(index_elements=["name"])
            return tx.execute(offered.returning(projects.c.id)).scalar_one_or_none()

        def replace(tx: Transaction) -> str:
            values = {"uid": "v", "name": "one", "created_at": tx.now}
            replaced = tx.dialect.insert(projects).values(values)
            replaced = replaced.on_conflict_do_update(index_elements=["name"], set_={"uid": replaced.excluded.uid})
            return str(tx.execute(replaced.returning(projects.c.uid)).scalar_one())

        assert await database.write(offer) is not None
        assert await database.write(offer) is None
        assert await database.write(replace) == "v"

    async def test_locking_reads_find_their_rows(self, database: Database) -> None:
        """``key_share`` and ``for_update`` return what the plain select returns."""
        await database.write(lambda tx: add_project(tx, "one"))
        named: Select[str] = select(projects.c.name).where(projects.c.name == "one")

        def unit(tx: Transaction) -> list[str]:
            selects = [
                tx.dialect.key_share(named),
                tx.dialect.for_update(named),
                tx.dialect.for_update(named, skip_locked=True),
            ]
            return [tx.execute(locking).scalar_one() for locking in selects]

        assert await database.write(unit) == ["one"] * 3

    async def test_now_is_one_instant(self, database: Database) -> None:
        """A unit's instant is aware, UTC, does not move within the unit, and comes back from a row as it was."""

        def unit(tx: Transaction) -> tuple[datetime, datetime, datetime]:
            first = tx.now
            number = add_project(tx, _unique("p"))
            return first, tx.now, tx.execute(select(projects.c.created_at).where(projects.c.id == number)).scalar_one()

        first, last, stored = await database.write(unit)
        later, *_ = await database.write(unit)

        assert first == last == stored
        assert first.utcoffset() == timedelta(0)
        assert later >= first

    async def test_names_are_ordered_by_bytes(self, database: Database) -> None:
        """Names sort by their bytes, whatever the database's locale."""
        names = ["b", "a", "A", "a/b", "a-b", "a.b", "a_b", "a0", "B", "_", "é", "z", "a b"]

        def unit(tx: Transaction) -> None:
            for name in names:
                add_project(tx, name)

        await database.write(unit)

        assert await database.read(project_names) == sorted(names, key=str.encode)

    async def test_a_read_sees_one_snapshot(self, database: Database) -> None:
        """A commit between two statements of a read shows in neither."""
        loop = asyncio.get_running_loop()

        def unit(tx: Transaction) -> tuple[list[str], list[str]]:
            before = project_names(tx)
            other = database.write(lambda other: add_project(other, _unique("p")))
            asyncio.run_coroutine_threadsafe(other, loop).result(WAIT)
            return before, project_names(tx)

        before, after = await database.read(unit)

        assert before == after == []
        assert len(await database.read(project_names)) == 1

    async def test_a_read_cannot_write(self, database: Database) -> None:
        """A unit given to ``read`` that writes raises ReadOnlyViolation, and reading goes on."""
        with pytest.raises(ReadOnlyViolation):
            await database.read(lambda tx: add_project(tx, "one"))

        assert await database.read(project_names) == []
        assert await database.write(lambda tx: add_project(tx, "one"))

    async def test_a_transaction_ends_with_its_unit(self, database: Database) -> None:
        """A transaction that a unit let out refuses to work."""
        kept = await database.write(lambda tx: tx)

        with pytest.raises(RuntimeError, match="after its unit"):
            add_project(kept, "late")

    async def test_a_caller_that_leaves_disturbs_nobody(self, database: Database) -> None:
        """Others get their answers when a waiting caller is cancelled, and its unit is either whole or absent."""
        stayers = {f"b{number}" for number in range(5)}
        with _blocked(database) as blocked:
            await blocked.reached()
            leaving = asyncio.create_task(database.write(lambda tx: (add_project(tx, "a1"), add_project(tx, "a2"))))
            staying = [asyncio.create_task(database.write(_adding_project(name))) for name in stayers]
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*staying)

        names = await database.read(project_names)
        assert {name for name in names if name.startswith("b")} == stayers
        assert len([name for name in names if name.startswith("a")]) in {0, 2}

    async def test_too_many_units_are_refused(self, database: Database) -> None:
        """What waits is bounded: beyond that a unit is refused at once, and those taken are all done."""
        with _blocked(database) as blocked:
            await blocked.reached()
            waiting = [
                asyncio.create_task(database.write(lambda tx: tx.execute(select(versions.c.id)).scalar_one()))
                for _ in range(QUEUED_AT_MOST)
            ]
            done, _ = await asyncio.wait(waiting, timeout=WAIT, return_when=asyncio.FIRST_EXCEPTION)
            refused = [error for task in done if (error := task.exception()) is not None]
        async with asyncio.timeout(WAIT):
            answers = await asyncio.gather(*waiting, return_exceptions=True)

        assert refused
        assert all(isinstance(error, Unavailable) and error.detail == {"reason": "queue"} for error in refused)
        assert set(map(type, answers)) == {int, Unavailable}

    async def test_a_closed_database_refuses(self, database: Database) -> None:
        """Everything raises Unavailable once the database is closed; closing it twice is no error."""
        await database.hot.access_version()
        await database.close()
        await database.close()

        with pytest.raises(Unavailable):
            await database.write(project_names)
        with pytest.raises(Unavailable):
            await database.read(project_names)
        with pytest.raises(Unavailable):
            await database.hot.access_version()
        with pytest.raises(Unavailable):
            await database.ping()

    async def test_closing_waits_for_units(self, database: Database) -> None:
        """A unit that was asked for before the database is closed gets its answer."""
        with _blocked(database) as blocked:
            await blocked.reached()
            asked = asyncio.create_task(database.write(lambda tx: add_project(tx, "one")))
            await asyncio.sleep(0)
            closing = asyncio.create_task(database.close())
            await asyncio.sleep(0)
        async with asyncio.timeout(WAIT):
            await closing
            assert await asked > 0

    async def test_ping(self, database: Database) -> None:
        """An open database answers."""
        await database.ping()

    async def test_hot_reads_follow_commits_at_once(self, database: Database) -> None:
        """A pull sees a tag's move as soon as ``write`` returned, however often it looked before."""
        name, tag = RepositoryName("a"), Tag("latest")
        repository = await database.write(lambda tx: _add_repository(tx, "a"))
        ids = [await database.write(_adding_manifest(repository, Digest.of(content))) for content in (b"1", b"2")]
        await database.write(
            lambda tx: (
                tx.execute(
                    insert(tags).values(
                        repository_id=repository,
                        name="latest",
                        manifest_id=ids[0],
                        version=1,
                        created_at=tx.now,
                        moved_at=tx.now,
                    )
                ).rowcount
            )
        )
        for number in range(20):
            manifest_id = ids[number % 2]
            await database.write(_moving_tags(manifest_id))

            found = await database.hot.resolve_tag(name, tag)

            assert found.manifest is not None
            assert found.manifest.id == manifest_id

    async def test_versions_come_without_a_repository(self, database: Database) -> None:
        """The versions are told also for names that nobody has."""
        nowhere, digest = RepositoryName("no/where"), Digest.of(b"")
        access, policy = 7, 9
        moved = update(versions).values(access_version=access, policy_version=policy)
        await database.write(lambda tx: tx.execute(moved).rowcount)

        assert await database.hot.resolve_tag(nowhere, Tag("t")) == ResolvedManifest(access, policy, None, None)
        assert await database.hot.resolve_digest(nowhere, digest) == ResolvedManifest(access, policy, None, None)
        assert await database.hot.find_blob(nowhere, digest) == ResolvedBlob(access, policy, None, None)
        assert await database.hot.access_version() == access

    async def test_hot_users_equal_queries(self, database: Database) -> None:
        """A user is found by the bytes of its name, as it stands at this moment, and nobody else is."""
        names = [_unique("user"), _unique("User"), _unique("名"), _unique("o'user")]

        def store(tx: Transaction) -> None:
            for number, name in enumerate(names):
                add_user(tx, name, f"hash of {name}", is_admin=number % 2 == 0)
            without_password = update(accounts).where(accounts.c.name == names[1]).values(password_hash=None)
            tx.execute(without_password.values(disabled_at=tx.now))

        await database.write(store)

        for name in [*names, names[0].upper(), names[0] + " ", "%", ""]:
            found = await database.hot.find_user(name)
            assert found == await database.read(_querying_user(name))
            assert (found is not None) == (name in names)
        await database.write(lambda tx: set_password_hash(tx, names[0], "another"))
        changed = await database.hot.find_user(names[0])
        assert changed is not None
        assert changed.password_hash == "another"  # ruff: ignore[hardcoded-password-string]  made up for the test

    @settings(
        max_examples=25,
        deadline=None,
        # Examples share a database, each under names of its own; each back end runs them on its own.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(data=st.data())
    async def test_hot_reads_equal_queries(self, database: Database, data: st.DataObject) -> None:
        """On any rows, the pull path's statements say what the same questions through SQLAlchemy say."""
        world = data.draw(_worlds)
        names = {spec.name: RepositoryName(_unique(f"{spec.name}/")) for spec in world}
        absent = RepositoryName(_unique("absent/"))
        digests = {seed: _digest_of(seed) for seed in _SEEDS}
        await database.write(lambda tx: _store_world(tx, world, names))

        for name in [*names.values(), absent]:
            for tag_name in _TAGS:
                tag = Tag(tag_name)
                expected = await database.read(_querying_manifest(name, tag))
                assert await database.hot.resolve_tag(name, tag) == expected
            for digest in digests.values():
                expected = await database.read(_querying_manifest(name, digest))
                assert await database.hot.resolve_digest(name, digest) == expected
                expected_blob = await database.read(_querying_blob(name, digest))
                assert await database.hot.find_blob(name, digest) == expected_blob


class _Blocked:
    """Units that keep every writing thread of a database from going on."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self._reached = threading.Event()

    def __call__(self, tx: Transaction) -> None:
        tx.execute(select(versions.c.id))
        self._reached.set()
        self.gate.wait(WAIT)

    async def reached(self) -> None:
        """Return when the first of them runs."""
        assert await asyncio.to_thread(self._reached.wait, WAIT)


@contextmanager
def _blocked(database: Database) -> Generator[_Blocked]:
    blocked = _Blocked()
    task = asyncio.ensure_future(database.write(blocked))
    try:
        yield blocked
    finally:
        blocked.gate.set()
        task.add_done_callback(lambda done: done.exception())


_SEEDS = ("1", "2", "3", "4")  # of digests; the last two are sha512
_TAGS = ("latest", "v1", "V1")


@dataclass(frozen=True)
class _BlobSpec:
    seed: str
    sizes: tuple[int, ...]
    hidden: bool


@dataclass(frozen=True)
class _ManifestSpec:
    seed: str
    media_type: str
    size: int
    hidden: bool
    tags: frozenset[str]


@dataclass(frozen=True)
class _RepositorySpec:
    name: str
    active: bool
    blobs: tuple[_BlobSpec, ...]
    manifests: tuple[_ManifestSpec, ...]


_blob_specs = st.builds(
    _BlobSpec,
    seed=st.sampled_from(_SEEDS),
    sizes=st.lists(st.integers(0, 2**50), max_size=3).map(tuple),
    hidden=st.booleans(),
)
_manifest_specs = st.builds(
    _ManifestSpec,
    seed=st.sampled_from(_SEEDS),
    media_type=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    size=st.integers(0, 2**40),
    hidden=st.booleans(),
    tags=st.frozensets(st.sampled_from(_TAGS)),
)
_worlds = st.lists(
    st.builds(
        _RepositorySpec,
        name=st.sampled_from(("a", "b")),
        active=st.booleans(),
        blobs=st.lists(_blob_specs, max_size=3, unique_by=lambda spec: spec.seed).map(tuple),
        manifests=st.lists(_manifest_specs, max_size=3, unique_by=lambda spec: spec.seed).map(tuple),
    ),
    max_size=2,
    unique_by=lambda spec: spec.name,
)


def _digest_of(seed: str) -> Digest:
    return Digest.of(seed.encode(), Algorithm.SHA512 if seed > "2" else Algorithm.SHA256)


def _actor(prefix: str) -> dict[str, str]:
    return {f"{prefix}_kind": "user", f"{prefix}_id": "1", f"{prefix}_name": "somebody"}


def _add_repository(tx: Transaction, name: str, *, project_id: int = EVERY_PROJECT, active: bool = True) -> int:
    added = insert(repositories).values(
        project_id=project_id,
        name=name,
        kind="hosted",
        state="active" if active else "deleting",
        created_at=tx.now,
        **_actor("created_by"),
    )
    return int(tx.execute(added.returning(repositories.c.id)).scalar_one())


def _adding_manifest(
    repository: int, digest: Digest, spec: _ManifestSpec | None = None
) -> Callable[[Transaction], int]:
    def unit(tx: Transaction) -> int:
        added = insert(manifests).values(
            repository_id=repository,
            digest=digest,
            media_type=spec.media_type if spec else "application/json",
            annotations="{}",
            size=spec.size if spec else 2,
            total_size=0,
            payload=b"{}",
            pushed_at=tx.now,
            lease_until=tx.now + timedelta(hours=24),
            hidden_at=tx.now if spec and spec.hidden else None,
            **_actor("pushed_by"),
        )
        return int(tx.execute(added.returning(manifests.c.id)).scalar_one())

    return unit


def _store_world(tx: Transaction, world: list[_RepositorySpec], names: dict[str, RepositoryName]) -> None:
    for spec in world:
        repository = _add_repository(tx, names[spec.name].text, active=spec.active)
        for blob in spec.blobs:
            blob_id = _ensure_blob(tx, blob)
            tx.execute(
                insert(repository_blobs).values(
                    repository_id=repository,
                    blob_id=blob_id,
                    linked_at=tx.now,
                    lease_until=datetime(2026, 1, 1, 0, 0, 0, blob_id, UTC),
                    hidden_at=tx.now if blob.hidden else None,
                )
            )
        standing: set[str] = set()
        for manifest in spec.manifests:
            manifest_id = _adding_manifest(repository, _digest_of(manifest.seed), manifest)(tx)
            for tag in sorted(manifest.tags - standing):
                standing.add(tag)
                row = {"repository_id": repository, "name": tag, "manifest_id": manifest_id, "version": 1}
                tx.execute(insert(tags).values(**row, created_at=tx.now, moved_at=tx.now))


def _ensure_blob(tx: Transaction, spec: _BlobSpec) -> int:
    """A blob's row; blobs are shared by all repositories, and by all examples of a test."""
    digest = _digest_of(spec.seed)
    there = tx.execute(select(blobs.c.id).where(blobs.c.digest == digest)).scalar_one_or_none()
    if there is not None:
        return int(there)
    added = insert(blobs).values(digest=digest, size=sum(spec.sizes), state="stored", created_at=tx.now)
    blob_id = int(tx.execute(added.returning(blobs.c.id)).scalar_one())
    for ordinal, size in reversed(list(enumerate(spec.sizes))):
        row = {"blob_id": blob_id, "ordinal": ordinal, "store_id": DEFAULT_STORE, "key": _unique("k"), "size": size}
        tx.execute(insert(blob_objects).values(**row))
    return blob_id


def _query_versions(tx: Transaction) -> tuple[int, int]:
    row = tx.execute(select(versions)).one()
    return row.access_version, row.policy_version


def _query_repository(tx: Transaction, name: RepositoryName) -> RepositoryKey | None:
    row = tx.execute(
        select(repositories.c.id, repositories.c.project_id).where(
            repositories.c.name == name.text, repositories.c.state == "active"
        )
    ).one_or_none()
    return None if row is None else RepositoryKey(*row)


def _querying_manifest(name: RepositoryName, reference: Tag | Digest) -> Callable[[Transaction], ResolvedManifest]:
    return lambda tx: _query_manifest(tx, name, reference)


def _querying_blob(name: RepositoryName, digest: Digest) -> Callable[[Transaction], ResolvedBlob]:
    return lambda tx: _query_blob(tx, name, digest)


def _query_manifest(tx: Transaction, name: RepositoryName, reference: Tag | Digest) -> ResolvedManifest:
    repository, manifest = _query_repository(tx, name), None
    if repository is not None:
        columns = (
            manifests.c.id,
            manifests.c.digest,
            manifests.c.media_type,
            manifests.c.size,
            manifests.c.lease_until,
        )
        query = select(*columns).where(manifests.c.repository_id == repository.id, manifests.c.hidden_at.is_(None))
        if isinstance(reference, Tag):
            query = query.join(tags, tags.c.manifest_id == manifests.c.id).where(tags.c.name == reference.text)
        else:
            query = query.where(manifests.c.digest == reference)
        row = tx.execute(query).one_or_none()
        manifest = None if row is None else ManifestKey(*row, tx.now)
    return ResolvedManifest(*_query_versions(tx), repository, manifest)


def _query_blob(tx: Transaction, name: RepositoryName, digest: Digest) -> ResolvedBlob:
    repository, blob = _query_repository(tx, name), None
    if repository is not None:
        row = tx.execute(
            select(blobs.c.id, blobs.c.digest, blobs.c.size, blobs.c.state, repository_blobs.c.lease_until)
            .join(repository_blobs)
            .where(
                blobs.c.digest == digest,
                repository_blobs.c.repository_id == repository.id,
                repository_blobs.c.hidden_at.is_(None),
            )
        ).one_or_none()
        if row is not None:
            pieces = tx.execute(
                select(blob_objects.c.store_id, blob_objects.c.key, blob_objects.c.size)
                .where(blob_objects.c.blob_id == row.id)
                .order_by(blob_objects.c.ordinal)
            )
            blob = BlobKey(*row, tuple(itertools.starmap(StoredObject, pieces)), tx.now)
    return ResolvedBlob(*_query_versions(tx), repository, blob)
