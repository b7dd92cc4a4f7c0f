"""The first schema: everything that would be a rebuild to add later, and the rows that are always there."""

import secrets
import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _row_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _byte_ordered_text() -> TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_tables()
    _insert_fixed_rows()


def _insert_fixed_rows() -> None:
    """Row numbers are left to the database, which begins with 1, so that its counters go on from there."""
    connection = op.get_bind()
    now = time.time_ns() // 1000
    versions = sa.table("versions", *(sa.column(name) for name in ("id", "access_version", "policy_version")))
    connection.execute(versions.insert().values(id=1, access_version=1, policy_version=1))
    stores = sa.table("stores", sa.column("name"))
    connection.execute(stores.insert().values(name="default"))
    projects = sa.table("projects", *(sa.column(name) for name in ("uid", "name", "created_at")))
    connection.execute(projects.insert().values(uid=secrets.token_hex(16), name="*", created_at=now))


def _create_tables() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("repository", _byte_ordered_text(), nullable=True),
        sa.Column("reference", sa.Text, nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_repository_id"), "audit", ["repository", "id"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blobs")),
        sa.UniqueConstraint("digest", name=op.f("uq_blobs_digest")),
        sa.CheckConstraint("state IN ('stored', 'remote', 'damaged')", name=op.f("ck_blobs_state")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("event_id", name=op.f("uq_outbox_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "projects",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_projects_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "stores",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("name", name=op.f("uq_stores_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=True),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("disabled_at", sa.BigInteger, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_users_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("access_version", sa.BigInteger, nullable=False),
        sa.Column("policy_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
        sa.CheckConstraint("id = 1", name=op.f("ck_versions_only_row")),
    )
    op.create_table(
        "blob_objects",
        sa.Column("blob_id", _row_number(), nullable=False),
        sa.Column("ordinal", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("store_id", _row_number(), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("blob_id", "ordinal", name=op.f("pk_blob_objects")),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f("fk_blob_objects_blob_id"), ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_blob_objects_store_id")),
        sa.UniqueConstraint("key", name=op.f("uq_blob_objects_key")),
    )
    op.create_table(
        "dead_objects",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("store_id", _row_number(), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("delete_after", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_dead_objects")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_dead_objects_store_id")),
    )
    op.create_index(op.f("ix_dead_objects_delete_after"), "dead_objects", ["delete_after"], unique=False)
    op.create_table(
        "repositories",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("project_id", _row_number(), nullable=False),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by_kind", sa.Text, nullable=False),
        sa.Column("created_by_id", sa.Text, nullable=False),
        sa.Column("created_by_name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_repositories_project_id")),
        sa.UniqueConstraint("name", name=op.f("uq_repositories_name")),
        sa.CheckConstraint("kind IN ('hosted', 'proxy', 'mirror')", name=op.f("ck_repositories_kind")),
        sa.CheckConstraint("state IN ('active', 'deleting')", name=op.f("ck_repositories_state")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_repositories_project_id"), "repositories", ["project_id"], unique=False)
    op.create_table(
        "subscribers",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("project_id", _row_number(), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscribers")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_subscribers_project_id")),
        sa.UniqueConstraint("name", name=op.f("uq_subscribers_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_subscribers_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "deliveries",
        sa.Column("outbox_id", _row_number(), nullable=False),
        sa.Column("subscriber_id", _row_number(), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("outbox_id", "subscriber_id", name=op.f("pk_deliveries")),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], name=op.f("fk_deliveries_outbox_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscribers.id"], name=op.f("fk_deliveries_subscriber_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_deliveries_next_attempt_at"), "deliveries", ["next_attempt_at"], unique=False)
    op.create_table(
        "fallback_referrers",
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("tag", _byte_ordered_text(), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "tag", "digest", name=op.f("pk_fallback_referrers")),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_fallback_referrers_repository_id"),
            ondelete="RESTRICT",
        ),
    )
    op.create_table(
        "manifests",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("artifact_type", sa.Text, nullable=True),
        sa.Column("config_media_type", sa.Text, nullable=True),
        sa.Column("subject", sa.LargeBinary, nullable=True),
        sa.Column("annotations", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("total_size", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("pushed_at", sa.BigInteger, nullable=False),
        sa.Column("pushed_by_kind", sa.Text, nullable=False),
        sa.Column("pushed_by_id", sa.Text, nullable=False),
        sa.Column("pushed_by_name", sa.Text, nullable=False),
        sa.Column("built_at", sa.BigInteger, nullable=True),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("hidden_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifests")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_manifests_repository_id"), ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("repository_id", "digest", name=op.f("uq_manifests_repository_id_digest")),
        sa.UniqueConstraint("repository_id", "id", name=op.f("uq_manifests_repository_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_manifests_referrers"), "manifests", ["repository_id", "subject", "digest"], unique=False)
    op.create_table(
        "pins",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("pinned_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("pinned_by_kind", sa.Text, nullable=False),
        sa.Column("pinned_by_id", sa.Text, nullable=False),
        sa.Column("pinned_by_name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pins")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_pins_repository_id"), ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("uid", name=op.f("uq_pins_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_pins_repository_id_digest"), "pins", ["repository_id", "digest"], unique=False)
    op.create_table(
        "pull_counts",
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("tag", _byte_ordered_text(), nullable=False),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        sa.Column("pulls", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest", "tag", "bucket", name=op.f("pk_pull_counts")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_pull_counts_repository_id"), ondelete="CASCADE"
        ),
    )
    op.create_table(
        "repository_blobs",
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("blob_id", _row_number(), nullable=False),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("hidden_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("repository_id", "blob_id", name=op.f("pk_repository_blobs")),
        sa.ForeignKeyConstraint(
            ["blob_id"], ["blobs.id"], name=op.f("fk_repository_blobs_blob_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_repository_blobs_repository_id"), ondelete="RESTRICT"
        ),
    )
    op.create_index(op.f("ix_repository_blobs_blob_id"), "repository_blobs", ["blob_id"], unique=False)
    op.create_table(
        "tag_history",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("tag", _byte_ordered_text(), nullable=False),
        sa.Column("from_digest", sa.LargeBinary, nullable=True),
        sa.Column("to_digest", sa.LargeBinary, nullable=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_history")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_tag_history_repository_id"), ondelete="RESTRICT"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_tag_history_repository_id_tag_id"), "tag_history", ["repository_id", "tag", "id"], unique=False
    )
    op.create_table(
        "upload_sessions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("repository_id", _row_number(), nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("hash_state", sa.LargeBinary, nullable=True),
        sa.Column("writing", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("finished_digest", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_sessions")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_upload_sessions_repository_id"), ondelete="RESTRICT"
        ),
    )
    op.create_index(op.f("ix_upload_sessions_expires_at"), "upload_sessions", ["expires_at"], unique=False)
    op.create_index(
        op.f("ix_upload_sessions_open"),
        "upload_sessions",
        ["principal"],
        unique=False,
        sqlite_where=sa.text("finished_digest IS NULL"),
        postgresql_where=sa.text("finished_digest IS NULL"),
    )
    op.create_index(op.f("ix_upload_sessions_repository_id"), "upload_sessions", ["repository_id"], unique=False)
    op.create_table(
        "manifest_blobs",
        sa.Column("manifest_id", sa.BigInteger, nullable=False),
        sa.Column("ordinal", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("blob_id", sa.BigInteger, nullable=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("manifest_id", "ordinal", name=op.f("pk_manifest_blobs")),
        sa.ForeignKeyConstraint(
            ["repository_id", "blob_id"],
            ["repository_blobs.repository_id", "repository_blobs.blob_id"],
            name=op.f("fk_manifest_blobs_repository_id_blob_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["repository_id", "manifest_id"],
            ["manifests.repository_id", "manifests.id"],
            name=op.f("fk_manifest_blobs_repository_id_manifest_id"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("role IN ('config', 'layer', 'entry')", name=op.f("ck_manifest_blobs_role")),
    )
    op.create_index(
        op.f("ix_manifest_blobs_repository_id_blob_id"), "manifest_blobs", ["repository_id", "blob_id"], unique=False
    )
    op.create_index(
        op.f("ix_manifest_blobs_awaited"),
        "manifest_blobs",
        ["repository_id", "digest"],
        unique=False,
        sqlite_where=sa.text("blob_id IS NULL"),
        postgresql_where=sa.text("blob_id IS NULL"),
    )
    op.create_table(
        "manifest_children",
        sa.Column("manifest_id", sa.BigInteger, nullable=False),
        sa.Column("ordinal", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("manifest_id", "ordinal", name=op.f("pk_manifest_children")),
        sa.ForeignKeyConstraint(
            ["repository_id", "manifest_id"],
            ["manifests.repository_id", "manifests.id"],
            name=op.f("fk_manifest_children_repository_id_manifest_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        op.f("ix_manifest_children_repository_id_digest"),
        "manifest_children",
        ["repository_id", "digest"],
        unique=False,
    )
    op.create_table(
        "tags",
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("manifest_id", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.BigInteger, nullable=False),
        sa.Column("version_key", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("repository_id", "name", name=op.f("pk_tags")),
        sa.ForeignKeyConstraint(
            ["repository_id", "manifest_id"],
            ["manifests.repository_id", "manifests.id"],
            name=op.f("fk_tags_repository_id_manifest_id"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index(op.f("ix_tags_repository_id_manifest_id"), "tags", ["repository_id", "manifest_id"], unique=False)
    op.create_index(
        op.f("ix_tags_repository_id_moved_at_name"), "tags", ["repository_id", "moved_at", "name"], unique=False
    )
    op.create_index(
        op.f("ix_tags_repository_id_version_key_name"), "tags", ["repository_id", "version_key", "name"], unique=False
    )
    op.create_table(
        "upload_objects",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("ordinal", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("store_id", _row_number(), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "ordinal", name=op.f("pk_upload_objects")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["upload_sessions.id"], name=op.f("fk_upload_objects_session_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_upload_objects_store_id")),
        sa.UniqueConstraint("key", name=op.f("uq_upload_objects_key")),
    )
