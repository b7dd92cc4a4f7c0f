"""Users from elsewhere, with the hashes of their passwords."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final, TypeAlias

from entrepot.access.administration.accounts import check_account_name
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.errors import NameUnsuitable
from entrepot.access.htpasswd import HashedUser
from entrepot.metadata import (
    AccountRow,
    Database,
    Transaction,
    add_user,
    find_account_by_name,
    record_audit,
    set_password_hash,
)

BATCH = 100  # users in one transaction: some 100 ms on SQLite, where nobody else writes meanwhile


class ImportOutcome(Enum):
    """What becomes of a user that is imported."""

    ADDED = "added"
    REPLACED = "replaced"
    """The name was there, and got the password."""
    KEPT = "kept"
    """The name is there, and nothing is changed."""
    ROBOT = "robot"
    """A robot has the name, and keeps it."""
    PROVIDER = "provider"
    """A provider's user has the name, and no password here."""
    NAME = "name"
    """No account may be called that."""


@dataclass(frozen=True, slots=True)
class ImportedUser:
    """A line of the file, the name on it, and what becomes of it."""

    line: int
    name: str
    outcome: ImportOutcome


REFUSALS: Final = frozenset({ImportOutcome.ROBOT, ImportOutcome.PROVIDER, ImportOutcome.NAME})
"""The outcomes by which a user has no password of the file."""

Unit: TypeAlias = Callable[[Transaction], list[ImportedUser]]


@dataclass(frozen=True, slots=True)
class ImportUsers:
    """Makes users whose passwords were hashed elsewhere. Raises Denied, Unavailable, StorageFull."""

    database: Database

    async def plan(self, by: Authority, users: Sequence[HashedUser], *, replaces: bool) -> list[ImportedUser]:
        """What would become of the users now; nothing is changed."""

        def of_one(tx: Transaction, user: HashedUser) -> ImportOutcome:
            return _outcome(tx, user, replaces=replaces)

        return await _by_batches(self.database.read, by, users, of_one)

    async def __call__(self, by: Authority, users: Sequence[HashedUser], *, replaces: bool) -> list[ImportedUser]:
        """Make the users, who may do nothing yet; with ``replaces`` those who are there get the password of the file.

        Batch by batch: after a run that broke off, the next one finds and keeps those who are there.
        """

        def of_one(tx: Transaction, user: HashedUser) -> ImportOutcome:
            return _import(tx, by, user, replaces=replaces)

        return await _by_batches(self.database.write, by, users, of_one)


async def _by_batches(
    run: Callable[[Unit], Awaitable[list[ImportedUser]]],
    by: Authority,
    users: Sequence[HashedUser],
    of_one: Callable[[Transaction, HashedUser], ImportOutcome],
) -> list[ImportedUser]:
    def unit(tx: Transaction, batch: Sequence[HashedUser]) -> list[ImportedUser]:
        require_admin(tx, by)
        return [ImportedUser(user.line, user.name, of_one(tx, user)) for user in batch]

    done: list[ImportedUser] = []
    for start in range(0, len(users), BATCH):
        done += await run(partial(unit, batch=users[start : start + BATCH]))
    return done


def _import(tx: Transaction, by: Authority, user: HashedUser, *, replaces: bool) -> ImportOutcome:
    outcome = _outcome(tx, user, replaces=replaces)
    if outcome is ImportOutcome.ADDED:
        if not add_user(tx, user.name, user.password_hash, is_admin=False):
            return ImportOutcome.KEPT
        record_audit(tx, by.actor, "user.add", "", user.name, {"admin": 0, "imported": "htpasswd"})
    elif outcome is ImportOutcome.REPLACED:
        set_password_hash(tx, user.name, user.password_hash)
        record_audit(tx, by.actor, "user.password", "", user.name, {"imported": "htpasswd"})
    return outcome


def _outcome(tx: Transaction, user: HashedUser, *, replaces: bool) -> ImportOutcome:
    try:
        check_account_name(user.name)
    except NameUnsuitable:
        return ImportOutcome.NAME
    account = find_account_by_name(tx, user.name)
    if account is None:
        return ImportOutcome.ADDED
    return _outcome_of_taken(account, replaces=replaces)


def _outcome_of_taken(account: AccountRow, *, replaces: bool) -> ImportOutcome:
    if account.kind != "user":
        return ImportOutcome.ROBOT
    if account.issuer is not None:
        return ImportOutcome.PROVIDER
    return ImportOutcome.REPLACED if replaces else ImportOutcome.KEPT
