"""The rows of who may do what: accounts, their credentials, groups, roles and bindings."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from entrepot.metadata.tables import actor_columns, metadata
from entrepot.metadata.types import InstantType, byte_ordered_text, row_number

accounts = Table(
    "accounts",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("kind", Text, CheckConstraint("kind IN ('user', 'robot')", name="kind"), nullable=False),
    Column("name", byte_ordered_text(), nullable=False, unique=True),
    Column("password_hash", Text),
    Column("is_admin", Boolean, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("project_id", ForeignKey("projects.id", ondelete="RESTRICT"), index=True),
    Column("issuer", Text),
    Column("subject", Text),
    Column("disabled_at", InstantType),
    Column("expires_at", InstantType),
    Column("last_login_at", InstantType),
    Column("created_at", InstantType, nullable=False),
    *actor_columns("created_by", server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="external"),
    CheckConstraint("kind = 'user' OR (password_hash IS NULL AND NOT is_admin)", name="robot"),
    UniqueConstraint("issuer", "subject"),
    sqlite_autoincrement=True,
)
"""Users and robots, in one space of names, so that a login means one of them.

A user of a provider has its ``issuer`` and ``subject`` there and no password. A robot has the project that owns it
(row 1 is the system itself) and may expire. ``version`` counts the changes of the row.
"""

credentials = Table(
    "credentials",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("parent_id", ForeignKey("credentials.id", ondelete="CASCADE"), index=True),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('token', 'secret', 'refresh', 'session')", name="kind"),
        nullable=False,
    ),
    Column("name", Text, nullable=False),
    Column("secret_digest", LargeBinary, nullable=False),
    Column("scopes", Text),
    Column("created_at", InstantType, nullable=False),
    Column("expires_at", InstantType, index=True),
    Column("revoked_at", InstantType),
    Column("last_used_at", InstantType),
    Column("last_used_from", Text),
    Index(None, "account_id", "kind", "id"),
    sqlite_autoincrement=True,
)
"""What is shown once and can be taken back: personal tokens, robots' secrets, refresh tokens, browsers' sessions.

``uid`` is the part of the secret by which the row is found, ``secret_digest`` SHA-256 over the whole. ``scopes`` is
JSON, what the credential is narrowed to, or null. What was made from another credential ends with it.
"""

trusts = Table(
    "trusts",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("issuer", Text, nullable=False, index=True),
    Column("conditions", Text, nullable=False),
    Column("created_at", InstantType, nullable=False),
    *actor_columns("created_by"),
    sqlite_autoincrement=True,
)
"""Whose tokens count as a robot's: an issuer, and conditions on the claims as a JSON object of patterns."""

groups = Table(
    "groups",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("name", byte_ordered_text(), nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("created_at", InstantType, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    sqlite_autoincrement=True,
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("source", Text, CheckConstraint("source IN ('manual', 'login')", name="source"), nullable=False),
)
"""``login`` are memberships that a provider told of: each login replaces them."""

roles = Table(
    "roles",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("name", byte_ordered_text(), nullable=False, unique=True),
    Column("actions", Text, nullable=False),
    Column("created_at", InstantType, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    sqlite_autoincrement=True,
)
"""Roles beside the built-in ones; ``actions`` is a JSON array."""

bindings = Table(
    "bindings",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="RESTRICT"), nullable=False),
    Column(
        "subject_kind",
        Text,
        CheckConstraint("subject_kind IN ('account', 'group', 'authenticated', 'anonymous')", name="subject_kind"),
        nullable=False,
    ),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), index=True),
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), index=True),
    Column("role", byte_ordered_text(), nullable=False, index=True),
    Column("repositories", byte_ordered_text(), nullable=False),
    Column("inherited", Boolean, nullable=False),
    Column("created_at", InstantType, nullable=False),
    *actor_columns("created_by"),
    CheckConstraint("(subject_kind = 'account') = (account_id IS NOT NULL)", name="account"),
    CheckConstraint("(subject_kind = 'group') = (group_id IS NOT NULL)", name="group"),
    Index(None, "project_id", "id"),
    Index(None, "subject_kind"),
    sqlite_autoincrement=True,
)
"""Who has which role on which repositories of a project.

``repositories`` is a pattern of whole names. An ``inherited`` binding also counts in the projects beneath.
"""

login_failures = Table(
    "login_failures",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("first_at", InstantType, nullable=False),
    Column("last_at", InstantType, nullable=False, index=True),
)
"""Wrong passwords by account and address together; ``key`` is a hash of the two."""

login_states = Table(
    "login_states",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('code', 'device')", name="kind"), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", InstantType, nullable=False),
    Column("expires_at", InstantType, nullable=False, index=True),
)
"""Logins that wait for a provider's answer, for whichever process gets it."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", InstantType, nullable=False),
    Column("signs_from", InstantType, nullable=False, server_default="0"),
    Column("retired_at", InstantType),
)
"""Keys that sign tokens, sealed with a key file where one is set.

A key is published before it signs (``signs_from``), and still verifies after another took over (``retired_at``).
"""
