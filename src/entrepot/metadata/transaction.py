"""What a unit of work gets to work with."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVarTuple, overload

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.engine.interfaces import _CoreAnyExecuteParams
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.selectable import TypedReturnsRows

from entrepot.metadata.dialect import Dialect

Ts = TypeVarTuple("Ts")


class Transaction:
    """One unit of work on one connection; of no use after the unit returned.

    An error of the database spoils the whole unit, also where the unit catches it: further statements raise it again,
    and so does the end of the unit. (PostgreSQL would answer the commit of such a unit with a silent rollback.)
    """

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        clock: Callable[[Connection], datetime],
        translate: Callable[[DBAPIError], Exception],
    ) -> None:
        self.dialect = dialect
        self._connection = connection
        self._clock = clock
        self._translate = translate
        self._failure: Exception | None = None

    @cached_property
    def now(self) -> datetime:
        """The unit's instant, aware UTC: PostgreSQL's start of the transaction, on SQLite the host's clock."""
        with self._guarded():
            return self._clock(self._connection)

    @overload
    def execute(
        self, statement: TypedReturnsRows[*Ts], parameters: _CoreAnyExecuteParams | None = None
    ) -> CursorResult[*Ts]: ...

    @overload
    def execute(
        self, statement: Executable, parameters: _CoreAnyExecuteParams | None = None
    ) -> CursorResult[*tuple[Any, ...]]: ...

    def execute(
        self, statement: Executable, parameters: _CoreAnyExecuteParams | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run one statement; raises ForeignKeyViolation, UniqueViolation, Unavailable, StorageFull."""
        with self._guarded():
            return self._connection.execute(statement, parameters)

    def finish(self) -> None:
        """Refuse further statements; raises the error that the unit has swallowed, if any. Called before the commit."""
        if self._failure is not None:
            raise self._failure
        self._failure = RuntimeError("a transaction was used after its unit of work")

    @contextmanager
    def _guarded(self) -> Generator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except DBAPIError as error:
            self._failure = self._translate(error)
            raise self._failure from error
