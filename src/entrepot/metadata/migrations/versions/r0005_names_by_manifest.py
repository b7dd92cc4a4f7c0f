"""What a manifest names, by repository and manifest: the foreign keys that take it away with the manifest."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("manifest_blobs", "manifest_children"):
        op.create_index(
            op.f(f"ix_{table}_repository_id_manifest_id"), table, ["repository_id", "manifest_id"], unique=False
        )
