"""Accounts for users and robots, their credentials, groups, roles and bindings; more in audit rows."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ACTOR = ("kind", "id", "name")


def _row_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _byte_ordered_text() -> TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, and accounts of the users that are there."""
    _create_accounts()
    _move_users()
    _create_credentials()
    _create_trusts()
    _create_groups()
    _create_roles()
    _create_bindings()
    _create_login_tables()
    _add_columns()


def _id() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", _row_number(), autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
    ]


def _created(server_default: str | None = None) -> list[sa.Column[Any]]:
    return [
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *(sa.Column(f"created_by_{part}", sa.Text, nullable=False, server_default=server_default) for part in _ACTOR),
    ]


def _version() -> sa.Column[Any]:
    return sa.Column("version", sa.Integer, nullable=False, server_default="1")


def _primary(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}"))


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _foreign(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns), unique=False)


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        *_id(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=True),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("issuer", sa.Text, nullable=True),
        sa.Column("subject", sa.Text, nullable=True),
        sa.Column("disabled_at", sa.BigInteger, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("last_login_at", sa.BigInteger, nullable=True),
        *_created(server_default=""),
        _version(),
        sa.CheckConstraint("kind IN ('user', 'robot')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name=op.f("ck_accounts_external")),
        sa.CheckConstraint("kind = 'user' OR (password_hash IS NULL AND NOT is_admin)", name=op.f("ck_accounts_robot")),
        _foreign("accounts", "project_id", "projects.id", "RESTRICT"),
        _primary("accounts"),
        _unique("accounts", "issuer", "subject"),
        _unique("accounts", "name"),
        _unique("accounts", "uid"),
        sqlite_autoincrement=True,
    )
    _index("accounts", "project_id")


def _move_users() -> None:
    op.execute(
        """
        INSERT INTO accounts (kind, uid, name, password_hash, is_admin, disabled_at, created_at)
        SELECT 'user', uid, name, password_hash, is_admin, disabled_at, created_at FROM users ORDER BY id
        """
    )
    op.drop_table("users")


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        *_id(),
        sa.Column("account_id", _row_number(), nullable=False),
        sa.Column("parent_id", _row_number(), nullable=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_digest", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.Column("last_used_at", sa.BigInteger, nullable=True),
        sa.Column("last_used_from", sa.Text, nullable=True),
        sa.CheckConstraint("kind IN ('token', 'secret', 'refresh', 'session')", name=op.f("ck_credentials_kind")),
        _foreign("credentials", "account_id", "accounts.id", "CASCADE"),
        _foreign("credentials", "parent_id", "credentials.id", "CASCADE"),
        _primary("credentials"),
        _unique("credentials", "uid"),
        sqlite_autoincrement=True,
    )
    _index("credentials", "account_id", "kind", "id")
    _index("credentials", "parent_id")
    _index("credentials", "expires_at")


def _create_trusts() -> None:
    op.create_table(
        "trusts",
        *_id(),
        sa.Column("account_id", _row_number(), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("conditions", sa.Text, nullable=False),
        *_created(),
        _foreign("trusts", "account_id", "accounts.id", "CASCADE"),
        _primary("trusts"),
        _unique("trusts", "uid"),
        sqlite_autoincrement=True,
    )
    _index("trusts", "account_id")
    _index("trusts", "issuer")


def _create_groups() -> None:
    op.create_table(
        "groups",
        *_id(),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        _version(),
        _primary("groups"),
        _unique("groups", "name"),
        _unique("groups", "uid"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", _row_number(), nullable=False),
        sa.Column("account_id", _row_number(), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.CheckConstraint("source IN ('manual', 'login')", name=op.f("ck_group_members_source")),
        _foreign("group_members", "account_id", "accounts.id", "CASCADE"),
        _foreign("group_members", "group_id", "groups.id", "CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "account_id", name=op.f("pk_group_members")),
    )
    _index("group_members", "account_id")


def _create_roles() -> None:
    op.create_table(
        "roles",
        *_id(),
        sa.Column("name", _byte_ordered_text(), nullable=False),
        sa.Column("actions", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        _version(),
        _primary("roles"),
        _unique("roles", "name"),
        _unique("roles", "uid"),
        sqlite_autoincrement=True,
    )


def _create_bindings() -> None:
    op.create_table(
        "bindings",
        *_id(),
        sa.Column("project_id", _row_number(), nullable=False),
        sa.Column("subject_kind", sa.Text, nullable=False),
        sa.Column("account_id", _row_number(), nullable=True),
        sa.Column("group_id", _row_number(), nullable=True),
        sa.Column("role", _byte_ordered_text(), nullable=False),
        sa.Column("repositories", _byte_ordered_text(), nullable=False),
        sa.Column("inherited", sa.Boolean, nullable=False),
        *_created(),
        sa.CheckConstraint(
            "subject_kind IN ('account', 'group', 'authenticated', 'anonymous')", name=op.f("ck_bindings_subject_kind")
        ),
        sa.CheckConstraint("(subject_kind = 'account') = (account_id IS NOT NULL)", name=op.f("ck_bindings_account")),
        sa.CheckConstraint("(subject_kind = 'group') = (group_id IS NOT NULL)", name=op.f("ck_bindings_group")),
        _foreign("bindings", "account_id", "accounts.id", "CASCADE"),
        _foreign("bindings", "group_id", "groups.id", "CASCADE"),
        _foreign("bindings", "project_id", "projects.id", "RESTRICT"),
        _primary("bindings"),
        _unique("bindings", "uid"),
        sqlite_autoincrement=True,
    )
    for columns in (("account_id",), ("group_id",), ("role",), ("subject_kind",)):
        _index("bindings", *columns)
    _index("bindings", "project_id", "id")


def _create_login_tables() -> None:
    op.create_table(
        "login_failures",
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_failures")),
    )
    _index("login_failures", "last_at")
    op.create_table(
        "login_states",
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("kind IN ('code', 'device')", name=op.f("ck_login_states_kind")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_login_states")),
    )
    _index("login_states", "expires_at")


def _add_columns() -> None:
    with op.batch_alter_table("projects") as projects:
        projects.add_column(sa.Column("description", sa.Text, nullable=False, server_default=""))
        projects.add_column(_version())
    with op.batch_alter_table("signing_keys") as signing_keys:
        signing_keys.add_column(sa.Column("signs_from", sa.BigInteger, nullable=False, server_default="0"))
        signing_keys.add_column(sa.Column("retired_at", sa.BigInteger, nullable=True))
    with op.batch_alter_table("audit") as audit:
        audit.add_column(sa.Column("address", sa.Text, nullable=False, server_default=""))
        audit.add_column(sa.Column("credential", sa.Text, nullable=False, server_default=""))
        audit.add_column(sa.Column("outcome", sa.Text, nullable=False, server_default="done"))
        audit.add_column(sa.Column("times", sa.Integer, nullable=False, server_default="1"))
    _index("audit", "actor_id", "id")
