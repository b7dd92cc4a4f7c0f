"""Connections to PostgreSQL: how they are made, what a server must be like, and what its errors mean."""

import contextlib
import socket
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.exc import DBAPIError

from entrepot.metadata.port import (
    CommitNotDurable,
    ConstraintViolation,
    DatabaseUrlInvalid,
    EncodingUnsuitable,
    ForeignKeyViolation,
    ServerTooOld,
    UniqueViolation,
)
from entrepot.oci import StorageFull, Unavailable

VERSION_AT_LEAST = 15

# The server gives up first, so that nothing goes on there for which nobody waits here any more.
SESSION_SETTINGS: Final = {
    "lock_timeout": "10s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}

# A server that vanished without a word is noticed in half a minute. What the URL says of these goes before.
CONNECTION_DEFAULTS: Final = {
    "application_name": "entrepot",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}


class Conflict(Unavailable):
    """Units got into each other's way; the unit is to be run again."""


class ConnectionLost(Unavailable):
    """The server went away before it was asked to commit; the unit may be run again."""


def connection_parameters(url: str) -> dict[str, Any]:
    """The URL's parameters with our defaults; raises DatabaseUrlInvalid for what libpq does not understand."""
    try:
        return {**CONNECTION_DEFAULTS, **conninfo_to_dict(url)}
    except psycopg.ProgrammingError:
        raise DatabaseUrlInvalid(reason="format") from None


def session_statement() -> str:
    """The statement that gives a new connection its settings."""
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION_SETTINGS.items())
    return f"SELECT {calls}"


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection for units, with its settings; raises psycopg.OperationalError."""
    connection: psycopg.Connection[Any] = psycopg.connect(**connection_parameters(url), autocommit=True)
    try:
        connection.execute(session_statement())
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def hang_up(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """End a connection under whoever waits on it for a server that says nothing: the wait ends with an error."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=connection.fileno()) as wire:
        try:
            wire.shutdown(socket.SHUT_RDWR)
        finally:
            wire.detach()  # the descriptor itself is libpq's to close


def check_server(connection: psycopg.Connection[Any]) -> None:
    """Raise DatabaseUnsuitable if the registry must not use this database."""
    row = connection.execute(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
        " current_setting('synchronous_commit')"
    ).fetchone()
    connection.rollback()
    assert row is not None
    raise_unsuitable(*row)


def raise_unsuitable(version: int, encoding: str, synchronous_commit: str) -> None:
    """Refuse a server that is too old (``version`` is its major), stores no UTF-8, or answers commits too early."""
    if version < VERSION_AT_LEAST:
        raise ServerTooOld(found=version, wanted=VERSION_AT_LEAST)
    if encoding != "UTF8":
        raise EncodingUnsuitable(found=encoding)
    if synchronous_commit == "off":
        raise CommitNotDurable(setting="synchronous_commit", found=synchronous_commit)


def translate(error: BaseException) -> BaseException:
    """An error of the driver, wrapped by SQLAlchemy or not, as one of the registry's; others stay as they are.

    The codes are those of PostgreSQL's appendix "PostgreSQL Error Codes".
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, psycopg.Error):
        return error
    state = original.sqlstate or ""
    if state.startswith("23"):
        return _violation(state, original.diag.constraint_name)
    if state == "53100":
        return StorageFull(reason="database")
    if state.startswith("40"):
        return Conflict(reason="busy")
    if reason := _REASONS.get(state) or _REASONS.get(state[:2]):
        return Unavailable(reason=reason)
    silent = not state and isinstance(original, (psycopg.OperationalError, psycopg.InterfaceError))
    return ConnectionLost(reason="unreachable") if silent or state.startswith(("08", "57")) else error


_REASONS: Final = {
    "25006": "read-only",
    "25P03": "timeout",
    "28": "forbidden",
    "42501": "forbidden",
    "53": "unreachable",
    "55P03": "busy",
    "57014": "timeout",
    "58": "unreachable",
    "XX001": "damaged",
    "XX002": "damaged",
}
"""Codes and classes of codes, and the reason they give."""


def _violation(state: str, constraint: str | None) -> ConstraintViolation:
    match state:
        case "23001" | "23503":
            return ForeignKeyViolation(constraint)
        case "23505":
            return UniqueViolation(constraint)
        case _:
            return ConstraintViolation(constraint)
