"""How the two databases differ, as far as statements are concerned; no other module asks which one it is."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, TypeVarTuple, cast

from sqlalchemy import ARRAY, BigInteger, Select, Table, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite import Insert

Ts = TypeVarTuple("Ts")
Statement = TypeVar("Statement")


class Dialect(Protocol):
    """Statements that each database words in its own way."""

    @property
    def name(self) -> str:
        """``sqlite`` or ``postgresql``."""
        ...

    def insert(self, table: Table) -> Insert:
        """An insert that knows ``on_conflict_do_nothing``, ``on_conflict_do_update`` and ``returning``.

        Name the conflict by ``index_elements``: constraint names are PostgreSQL's alone.
        """
        ...

    def key_share(self, selected: Select[*Ts]) -> Select[*Ts]:
        """The select, keeping its rows from being deleted until commit (their other columns may change)."""
        ...

    def for_update(self, selected: Select[*Ts], *, skip_locked: bool = False) -> Select[*Ts]:
        """The select, keeping its rows from being changed until commit; ``skip_locked`` leaves out what others hold."""
        ...

    def numbers(self, rows: Sequence[Sequence[int]], width: int) -> Select[*tuple[Any, ...]]:
        """The rows, each of ``width`` whole numbers, to be compared with columns by ``IN``, which their index serves.

        The statement is the same for any number of rows. (SQLite scans a table that is compared with a list of rows.)
        """
        ...


class SqliteDialect:
    """SQLite: writing units run one after the other, so rows need no locks."""

    name = "sqlite"

    def insert(self, table: Table) -> Insert:
        """SQLite's insert."""
        return sqlite.insert(table)

    def key_share(self, selected: Select[*Ts]) -> Select[*Ts]:
        """The same select."""
        return selected

    def for_update(self, selected: Select[*Ts], *, skip_locked: bool = False) -> Select[*Ts]:  # ruff: ignore[unused-method-argument]  nothing is ever locked
        """The same select."""
        return selected

    def numbers(self, rows: Sequence[Sequence[int]], width: int) -> Select[*tuple[Any, ...]]:
        """From a list in JSON."""
        each = func.json_each(json.dumps([list(row) for row in rows])).table_valued("value")
        return select(*(func.json_extract(each.c.value, f"$[{place}]") for place in range(width)))


class PostgresqlDialect:
    """PostgreSQL: rows are locked one by one."""

    name = "postgresql"

    def insert(self, table: Table) -> Insert:
        """PostgreSQL's insert, shown as SQLite's, whose methods it has all and alike."""
        return cast("Insert", postgresql.insert(table))

    def key_share(self, selected: Select[*Ts]) -> Select[*Ts]:
        """``FOR KEY SHARE``."""
        return selected.with_for_update(read=True, key_share=True)

    def for_update(self, selected: Select[*Ts], *, skip_locked: bool = False) -> Select[*Ts]:
        """``FOR UPDATE``, perhaps ``SKIP LOCKED``."""
        return selected.with_for_update(skip_locked=skip_locked)

    def numbers(self, rows: Sequence[Sequence[int]], width: int) -> Select[*tuple[Any, ...]]:
        """From arrays, one for each column."""
        columns = ([row[place] for row in rows] for place in range(width))
        return select(*(func.unnest(literal(column, ARRAY(BigInteger))) for column in columns))


def per_dialect(build: Callable[[Dialect], Statement]) -> Callable[[Dialect], Statement]:
    """A statement that each database words in its own way, built once for each.

    Building a statement anew costs several times what running it does.
    """
    built: dict[str, Statement] = {}

    def statement(dialect: Dialect) -> Statement:
        try:
            return built[dialect.name]
        except KeyError:
            return built.setdefault(dialect.name, build(dialect))

    return statement
