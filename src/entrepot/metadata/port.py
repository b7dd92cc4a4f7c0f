"""What the registry asks of its database, and what comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol, TypeVar

from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest, RepositoryName, Tag

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RepositoryKey:
    """The row numbers of an active repository and of its project."""

    id: int
    project_id: int


@dataclass(frozen=True, slots=True)
class ManifestKey:
    """A visible manifest; ``size`` in bytes, ``seen_at`` when it was read by the database's clock."""

    id: int
    digest: Digest
    media_type: str
    size: int
    lease_until: datetime
    seen_at: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a blob or of an upload session; exactly ``size`` bytes of it count."""

    store_id: int
    key: str
    size: int


@dataclass(frozen=True, slots=True)
class BlobKey:
    """A blob that the repository shows, with its objects in order; the lease is that of the repository's link.

    ``seen_at`` is when it was read, by the database's clock.
    """

    id: int
    digest: Digest
    size: int
    state: str
    lease_until: datetime
    objects: tuple[StoredObject, ...]
    seen_at: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class ResolvedManifest:
    """What a manifest pull needs to know; ``repository`` or ``manifest`` is None for what is absent or hidden."""

    access_version: int
    policy_version: int
    repository: RepositoryKey | None
    manifest: ManifestKey | None


@dataclass(frozen=True, slots=True)
class ResolvedBlob:
    """What a blob pull needs to know; ``repository`` or ``blob`` is None for what is absent or hidden."""

    access_version: int
    policy_version: int
    repository: RepositoryKey | None
    blob: BlobKey | None


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as stored; ``uid`` is the opaque id that tokens and records carry."""

    uid: str
    name: str
    password_hash: str | None
    is_admin: bool
    disabled: bool


class HotReads(Protocol):
    """The reads of every request: one prepared statement each, on the newest committed rows.

    The versions come back whether or not a repository, manifest or blob exists. Every method raises Unavailable when
    the database does not answer.
    """

    async def access_version(self) -> int:
        """The number that every change of rights moves on."""
        ...

    async def find_user(self, name: str) -> UserRow | None:
        """The user of that name, compared by bytes."""
        ...

    async def resolve_tag(self, repository: RepositoryName, tag: Tag) -> ResolvedManifest:
        """The manifest on which the tag stands."""
        ...

    async def resolve_digest(self, repository: RepositoryName, digest: Digest) -> ResolvedManifest:
        """The repository's manifest of that digest."""
        ...

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> ResolvedBlob:
        """The repository's blob of that digest, and where its bytes lie."""
        ...


class Database(Protocol):
    """The registry's rows. A database belongs to one process and one event loop.

    A unit of work is a synchronous function of a Transaction. It may run more than once (after a deadlock, or when
    the commit it shared with others failed), so it has no effect but through its transaction, and nothing of it may
    leave before ``write`` returned. Whatever it raises undoes it and comes out of ``write`` or ``read``.
    """

    @property
    def hot(self) -> HotReads:
        """The reads of every request."""
        ...

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit, commit it durably, and return its value.

        Raises Unavailable when the database does not answer or other writers keep it busy (``reason``
        ``outcome-unknown``: it may have been committed), StorageFull when there is no room, ConstraintViolation. A
        caller that is cancelled meanwhile does not know whether the unit was committed.
        """
        ...

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit on one snapshot of the database; raises Unavailable, and ReadOnlyViolation if it writes."""
        ...

    async def ping(self) -> None:
        """Ask the database for a row; raises Unavailable if none comes."""
        ...

    async def close(self) -> None:
        """Finish the units that are under way, refuse new ones with Unavailable, and let go of every connection."""
        ...


class ConstraintViolation(Exception):
    """The unit's rows would break a constraint; the unit is undone.

    ``constraint`` is what the database calls it, for logs: SQLite gives columns or nothing, PostgreSQL a name.
    """

    def __init__(self, constraint: str | None = None) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class ForeignKeyViolation(ConstraintViolation):
    """A row is still referred to, or refers to one that is not there."""


class UniqueViolation(ConstraintViolation):
    """There is a row with this key already."""


class ReadOnlyViolation(Exception):
    """A unit given to ``read`` tried to write."""


class DatabaseUnsuitable(Exception):
    """This database cannot be used as it is; the message says what to do, ``detail`` has the values."""

    message: ClassVar[str] = "the database cannot be used as it is"

    def __init__(self, **detail: str | int | None) -> None:
        super().__init__(self.message)
        self.detail = detail


class DatabaseUrlInvalid(DatabaseUnsuitable):
    """Not an address of a database that the registry knows."""

    message = "the database must be given as sqlite:///PATH or postgresql://USER@HOST/NAME"


class SchemaMismatch(DatabaseUnsuitable):
    """The schema is not the one this program was made for; ``detail`` has ``found`` and ``wanted``."""


class SchemaMissing(SchemaMismatch):
    """There is no schema yet."""

    message = "the database has no schema yet; run: entrepot db upgrade"


class SchemaOlder(SchemaMismatch):
    """The schema is that of an earlier version."""

    message = "the database's schema is older than this program; run: entrepot db upgrade"


class SchemaNewer(SchemaMismatch):
    """The schema is that of a later version."""

    message = "the database's schema is newer than this program; install the version of entrepot that made it, or later"


class JournalUnsuitable(DatabaseUnsuitable):
    """SQLite refuses its write-ahead log here, as on file systems without shared memory; ``detail`` has ``found``."""

    message = "SQLite cannot keep a write-ahead log here; put the data directory on a local disk"


class ServerTooOld(DatabaseUnsuitable):
    """The PostgreSQL server is older than what is supported; ``detail`` has ``found`` and ``wanted``."""

    message = "the PostgreSQL server is too old; version 15 or later is needed"


class EncodingUnsuitable(DatabaseUnsuitable):
    """The PostgreSQL database does not store UTF-8; ``detail`` has ``found``."""

    message = "the PostgreSQL database must have the encoding UTF8; create it with ENCODING 'UTF8' TEMPLATE template0"


class CommitNotDurable(DatabaseUnsuitable):
    """PostgreSQL would answer commits before they are on disk; ``detail`` has ``setting`` and ``found``."""

    message = "synchronous_commit is off: acknowledged pushes could be lost; set it to on, local or a remote level"
