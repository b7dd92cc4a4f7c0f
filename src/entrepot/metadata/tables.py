"""The rows of the registry, on SQLite and PostgreSQL alike.

What exists is what these rows say; the store holds only bytes. References between content are foreign keys, so that
neither a race nor a bug can leave a manifest without a blob it names.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from entrepot.metadata.types import DigestType, InstantType, byte_ordered_text, row_number

EVERY_PROJECT = 1  # the row `*`: what holds for all projects, and repositories outside any
DEFAULT_STORE = 1

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def actor_columns(prefix: str, server_default: str | None = None) -> list[Column[str]]:
    """Who did it, as a snapshot that outlives the account."""
    return [
        Column(f"{prefix}_{part}", Text, nullable=False, server_default=server_default)
        for part in ("kind", "id", "name")
    ]


versions = Table(
    "versions",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only_row"), primary_key=True, autoincrement=False),
    Column("access_version", BigInteger, nullable=False),
    Column("policy_version", BigInteger, nullable=False),
)
"""One row: moved on by every change of rights or of pull policy, and read with every pull."""

stores = Table(
    "stores",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    sqlite_autoincrement=True,
)
"""Where objects may lie."""

projects = Table(
    "projects",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("name", byte_ordered_text(), nullable=False, unique=True),
    Column("description", Text, nullable=False, server_default=""),
    Column("created_at", InstantType, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    sqlite_autoincrement=True,
)
"""Groups of repositories: a prefix of names that ends in ``/``, or ``*`` in row 1, which is for all the others."""

repositories = Table(
    "repositories",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", byte_ordered_text(), nullable=False, unique=True),
    Column("kind", Text, CheckConstraint("kind IN ('hosted', 'proxy', 'mirror')", name="kind"), nullable=False),
    Column("state", Text, CheckConstraint("state IN ('active', 'deleting')", name="state"), nullable=False),
    Column("created_at", InstantType, nullable=False),
    *actor_columns("created_by"),
    sqlite_autoincrement=True,
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("digest", DigestType, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('stored', 'remote', 'damaged')", name="state"), nullable=False),
    Column("created_at", InstantType, nullable=False),
    sqlite_autoincrement=True,
)
"""Content by digest, once for all repositories."""

blob_objects = Table(
    "blob_objects",
    metadata,
    Column("blob_id", ForeignKey("blobs.id", ondelete="RESTRICT"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
)
"""The objects that make up a blob, in order; readers use exactly ``size`` bytes of each. An empty blob has none."""

repository_blobs = Table(
    "repository_blobs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
    Column("blob_id", ForeignKey("blobs.id", ondelete="RESTRICT"), primary_key=True, index=True),
    Column("linked_at", InstantType, nullable=False),
    Column("lease_until", InstantType, nullable=False),
    Column("hidden_at", InstantType),
)
"""Links: which repository may show which blob. Unreferenced ones live until their lease is over."""

manifests = Table(
    "manifests",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
    Column("digest", DigestType, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("artifact_type", Text),
    Column("config_media_type", Text),
    Column("subject", DigestType),
    Column("annotations", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("total_size", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("pushed_at", InstantType, nullable=False),
    *actor_columns("pushed_by"),
    Column("built_at", InstantType),
    Column("lease_until", InstantType, nullable=False),
    Column("hidden_at", InstantType),
    UniqueConstraint("repository_id", "digest"),
    UniqueConstraint("repository_id", "id"),
    Index("ix_manifests_referrers", "repository_id", "subject", "digest"),
    sqlite_autoincrement=True,
)
"""Manifests and indexes, byte for byte as pushed; ``annotations`` is a JSON object of strings."""

manifest_blobs = Table(
    "manifest_blobs",
    metadata,
    Column("manifest_id", BigInteger, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("repository_id", BigInteger, nullable=False),
    Column("blob_id", BigInteger),
    Column("digest", DigestType, nullable=False),
    Column("role", Text, CheckConstraint("role IN ('config', 'layer', 'entry')", name="role"), nullable=False),
    Column("media_type", Text, nullable=False),
    ForeignKeyConstraint(
        ["repository_id", "manifest_id"], ["manifests.repository_id", "manifests.id"], ondelete="CASCADE"
    ),
    ForeignKeyConstraint(
        ["repository_id", "blob_id"],
        ["repository_blobs.repository_id", "repository_blobs.blob_id"],
        ondelete="RESTRICT",
    ),
    Index(None, "repository_id", "manifest_id"),  # SQLite would go through the repository to find what goes with a row
    Index(None, "repository_id", "blob_id"),
    Index(
        "ix_manifest_blobs_awaited",
        "repository_id",
        "digest",
        sqlite_where=text("blob_id IS NULL"),
        postgresql_where=text("blob_id IS NULL"),
    ),
)
"""Blobs that a manifest names, in its order; ``blob_id`` is null while the repository does without the blob."""

manifest_children = Table(
    "manifest_children",
    metadata,
    Column("manifest_id", BigInteger, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("repository_id", BigInteger, nullable=False),
    Column("digest", DigestType, nullable=False),
    ForeignKeyConstraint(
        ["repository_id", "manifest_id"], ["manifests.repository_id", "manifests.id"], ondelete="CASCADE"
    ),
    Index(None, "repository_id", "manifest_id"),  # likewise
    Index(None, "repository_id", "digest"),
)
"""Manifests that an index names; by digest, because they may come later or never (sparse indexes)."""

fallback_referrers = Table(
    "fallback_referrers",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
    Column("tag", byte_ordered_text(), primary_key=True),
    Column("digest", DigestType, primary_key=True),
)
"""Referrers that a client listed under a referrers fallback tag (distribution spec, "Referrers Tag Schema")."""

tags = Table(
    "tags",
    metadata,
    Column("repository_id", BigInteger, primary_key=True),
    Column("name", byte_ordered_text(), primary_key=True),
    Column("manifest_id", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", InstantType, nullable=False),
    Column("moved_at", InstantType, nullable=False),
    Column("version_key", LargeBinary),
    ForeignKeyConstraint(
        ["repository_id", "manifest_id"], ["manifests.repository_id", "manifests.id"], ondelete="RESTRICT"
    ),
    Index(None, "repository_id", "manifest_id"),
    Index(None, "repository_id", "moved_at", "name"),
    Index(None, "repository_id", "version_key", "name"),
)
"""Where each tag stands; ``version`` counts its moves, ``version_key`` sorts as the semantic version."""

tag_history = Table(
    "tag_history",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
    Column("tag", byte_ordered_text(), nullable=False),
    Column("from_digest", DigestType),
    Column("to_digest", DigestType),
    Column("at", InstantType, nullable=False),
    *actor_columns("actor"),
    Index(None, "repository_id", "tag", "id"),
    sqlite_autoincrement=True,
)
"""Every move and deletion of a tag; a deletion has no ``to_digest``, a creation no ``from_digest``."""

pins = Table(
    "pins",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
    Column("digest", DigestType, nullable=False),
    Column("reason", Text, nullable=False),
    Column("pinned_at", InstantType, nullable=False),
    Column("expires_at", InstantType),
    *actor_columns("pinned_by"),
    Index(None, "repository_id", "digest"),
    sqlite_autoincrement=True,
)
"""Manifests that are kept whatever else refers to them."""

pull_counts = Table(
    "pull_counts",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", DigestType, primary_key=True),
    Column("tag", byte_ordered_text(), primary_key=True),
    Column("bucket", InstantType, primary_key=True),
    Column("pulls", BigInteger, nullable=False),
    Column("last_at", InstantType, nullable=False),
)
"""Pulls per day and tag (``""`` for a pull by digest), folded in from memory."""

upload_sessions = Table(
    "upload_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("principal", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("hash_state", LargeBinary),
    Column("writing", Boolean, nullable=False),
    Column("created_at", InstantType, nullable=False),
    Column("expires_at", InstantType, nullable=False, index=True),
    Column("finished_digest", DigestType),
    Index(
        "ix_upload_sessions_open",
        "principal",
        sqlite_where=text("finished_digest IS NULL"),
        postgresql_where=text("finished_digest IS NULL"),
    ),
)
"""Uploads under way: ``offset`` bytes are durable; ``writing`` says that the last writer has not closed its object."""

upload_objects = Table(
    "upload_objects",
    metadata,
    Column("session_id", ForeignKey("upload_sessions.id", ondelete="RESTRICT"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
)
"""The objects of an upload in order, recorded before their first byte; ``size`` counts durable bytes."""

dead_objects = Table(
    "dead_objects",
    metadata,
    Column("key", Text, primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("delete_after", InstantType, nullable=False, index=True),
    Column("repository", byte_ordered_text(), nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
)
"""Objects that no session and no blob has any more, whose bytes are to be deleted.

``repository`` is the name of the one that had them last, or empty. ``attempts`` counts refusals of the store.
"""


def _review_columns() -> list[Column[Any]]:
    """What the three queues of the collection have alike.

    A row is due when ``waits_from`` lies the collection's time of review in the past; every event sets both instants
    to its own.
    """
    return [
        Column("event", Text, nullable=False),
        Column("event_at", InstantType, nullable=False),
        Column("waits_from", InstantType, nullable=False, index=True),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("last_error", Text),
    ]


manifest_reviews = Table(
    "manifest_reviews",
    metadata,
    Column("manifest_id", ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    *_review_columns(),
)
"""Manifests that something may have stopped referring to."""

link_reviews = Table(
    "link_reviews",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("blob_id", BigInteger, primary_key=True, autoincrement=False),
    *_review_columns(),
    ForeignKeyConstraint(
        ["repository_id", "blob_id"],
        ["repository_blobs.repository_id", "repository_blobs.blob_id"],
        ondelete="CASCADE",
    ),
)
"""Links that no manifest of their repository may name any more, or yet."""

blob_reviews = Table(
    "blob_reviews",
    metadata,
    Column("blob_id", ForeignKey("blobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("repository", byte_ordered_text(), nullable=False),
    *_review_columns(),
)
"""Blobs that a repository, named here, has given up."""

reclaimed = Table(
    "reclaimed",
    metadata,
    Column("repository", byte_ordered_text(), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("last_at", InstantType, nullable=False),
)
"""Space that came back, by the repository that had it last."""

subscribers = Table(
    "subscribers",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("created_at", InstantType, nullable=False),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("occurred_at", InstantType, nullable=False),
    sqlite_autoincrement=True,
)
"""Events, written in the transaction of the change; ``payload`` is JSON."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("outbox_id", ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True),
    Column("subscriber_id", ForeignKey("subscribers.id", ondelete="CASCADE"), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", InstantType, nullable=False, index=True),
    Column("last_error", Text),
)
"""One row per event and subscriber: no cursor that a late commit could slip behind."""

audit = Table(
    "audit",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("at", InstantType, nullable=False, index=True),
    *actor_columns("actor"),
    Column("action", Text, nullable=False),
    Column("repository", byte_ordered_text()),
    Column("reference", Text),
    Column("detail", Text, nullable=False),
    Column("address", Text, nullable=False, server_default=""),
    Column("credential", Text, nullable=False, server_default=""),
    Column("outcome", Text, nullable=False, server_default="done"),
    Column("times", Integer, nullable=False, server_default="1"),
    Index(None, "repository", "id"),
    Index(None, "actor_id", "id"),
    sqlite_autoincrement=True,
)
"""Who did what to what; ``detail`` is a JSON object. Names are snapshots: the rows outlive what they tell of."""
