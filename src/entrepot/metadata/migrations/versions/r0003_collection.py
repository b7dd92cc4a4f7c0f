"""The queues of the collection, what it has reclaimed, and a first review of all that nothing refers to by now."""

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


_FIRST_REVIEWS = [
    """
    INSERT INTO manifest_reviews (manifest_id, event, event_at, waits_from)
    SELECT m.id, 'pushed', :now, :now FROM manifests m WHERE NOT EXISTS
        (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.manifest_id = m.id)
    """,
    """
    INSERT INTO link_reviews (repository_id, blob_id, event, event_at, waits_from)
    SELECT l.repository_id, l.blob_id, 'linked', :now, :now FROM repository_blobs l WHERE NOT EXISTS
        (SELECT 1 FROM manifest_blobs b WHERE b.repository_id = l.repository_id AND b.blob_id = l.blob_id)
    """,
    """
    INSERT INTO blob_reviews (blob_id, repository, event, event_at, waits_from)
    SELECT b.id, '', 'link-gone', :now, :now FROM blobs b WHERE NOT EXISTS
        (SELECT 1 FROM repository_blobs l WHERE l.blob_id = b.id)
    """,
]


def _row_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _byte_ordered_text() -> TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("dead_objects") as dead_objects:
        dead_objects.add_column(sa.Column("repository", _byte_ordered_text(), nullable=False, server_default=""))
        dead_objects.add_column(sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
        dead_objects.add_column(sa.Column("last_error", sa.Text, nullable=True))
    _create_queue(
        "manifest_reviews",
        [sa.Column("manifest_id", _row_number(), autoincrement=False, nullable=False)],
        ["manifests.id"],
    )
    _create_queue(
        "link_reviews",
        [
            sa.Column("repository_id", sa.BigInteger, autoincrement=False, nullable=False),
            sa.Column("blob_id", sa.BigInteger, autoincrement=False, nullable=False),
        ],
        ["repository_blobs.repository_id", "repository_blobs.blob_id"],
    )
    _create_queue(
        "blob_reviews",
        [sa.Column("blob_id", _row_number(), autoincrement=False, nullable=False)],
        ["blobs.id"],
        sa.Column("repository", _byte_ordered_text(), nullable=False),
    )
    op.create_table(
        "reclaimed",
        sa.Column("repository", _byte_ordered_text(), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("repository", name=op.f("pk_reclaimed")),
    )
    _queue_what_is_there()


def _create_queue(name: str, keys: list[sa.Column[int]], refers_to: list[str], *more: sa.Column[str]) -> None:
    columns = [key.name for key in keys]
    op.create_table(
        name,
        *keys,
        *more,
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("event_at", sa.BigInteger, nullable=False),
        sa.Column("waits_from", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(columns, refers_to, name=op.f(f"fk_{name}_{'_'.join(columns)}"), ondelete="CASCADE"),
    )
    op.create_index(op.f(f"ix_{name}_waits_from"), name, ["waits_from"], unique=False)


def _queue_what_is_there() -> None:
    """Nothing was queued before there were queues: begin with everything that may be unreferenced."""
    now = time.time_ns() // 1000
    for statement in _FIRST_REVIEWS:
        op.execute(sa.text(statement).bindparams(now=now))
