"""Users: people who log in with a password of this registry, or by a provider."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE, account_named, check_account_name
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.administration.which import ById, Which, check_version
from entrepot.access.errors import LastAdministrator, NameTaken
from entrepot.access.passwords import Passwords
from entrepot.metadata import (
    AccountRow,
    Database,
    ListedAccount,
    Transaction,
    add_user,
    count_admins,
    describe_account,
    find_account,
    list_accounts,
    listed_account,
    record_audit,
    remove_account,
    set_admin,
    set_disabled,
    set_password_hash,
)
from entrepot.oci import Denied
from entrepot.secrets import Secret


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be changed of a user; None leaves it as it is."""

    is_disabled: bool | None = None
    is_admin: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Users:
    """Make, list, shut out and remove users, and give them passwords. All raise Unavailable, StorageFull."""

    database: Database
    passwords: Passwords

    async def page(self, by: Authority, after: str = "", at_most: int = PAGE) -> list[ListedAccount]:
        """Up to ``at_most`` users with names after ``after``, in byte order; raises Denied."""

        def unit(tx: Transaction) -> list[ListedAccount]:
            require_admin(tx, by)
            return list_accounts(tx, "user", after, at_most)

        return await self.database.read(unit)

    async def add(self, by: Authority, name: str, password: Secret, *, is_admin: bool) -> ListedAccount:
        """Make a user; raises Denied, NameUnsuitable, NameTaken, RequestInvalid for a password that cannot be."""
        check_account_name(name)
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> ListedAccount:
            require_admin(tx, by)
            if not add_user(tx, name, hashed, is_admin=is_admin):
                raise NameTaken(kind="account", name=name)
            record_audit(tx, by.actor, "user.add", "", name, {"admin": int(is_admin)})
            return listed_account(tx, account_named(tx, name).id)

        return await self.database.write(unit)

    async def find(self, by: Authority, which: Which) -> ListedAccount:
        """One user, for administrators and for the user; raises NameUnknownHere, Denied."""

        def unit(tx: Transaction) -> ListedAccount:
            if not _is_self(tx, by, which):
                require_admin(tx, by)
            return listed_account(tx, account_named(tx, which, "user").id)

        return await self.database.read(unit)

    async def set_password(self, by: Authority, which: Which, password: Secret) -> None:
        """Give a user another password; sessions and refresh tokens of the old one end. Raises NameUnknownHere, Denied.

        That of a provider's user makes no difference: such users have none here.
        """
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            _set_password(tx, by, account_named(tx, which, "user"), hashed)

        await self.database.write(unit)

    async def set_own_password(self, by: Authority, password: Secret) -> None:
        """Give the acting user another password; the caller has just shown the old one. Raises Denied."""
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> None:
            own = find_account(tx, by.account) if by.account and by.is_in_person else None
            if own is None or own.kind != "user" or own.issuer is not None:
                raise Denied(reason="no-own-password")
            _set_password(tx, by, own, hashed)

        await self.database.write(unit)

    async def change(
        self, by: Authority, which: Which, change: UserChange, *, version: int | None = None
    ) -> ListedAccount:
        """Change what is given, of the row that has ``version`` if that is given.

        Raises NameUnknownHere, Denied, LastAdministrator, VersionMismatch.
        """

        def unit(tx: Transaction) -> ListedAccount:
            require_admin(tx, by)
            account = account_named(tx, which, "user")
            before = listed_account(tx, account.id)
            check_version(before.version, version)
            if change.is_disabled is not None and change.is_disabled != (before.disabled_at is not None):
                _set_disabled(tx, by, account, is_disabled=change.is_disabled)
            if change.is_admin is not None and change.is_admin != before.is_admin:
                _set_admin(tx, by, account, is_admin=change.is_admin)
            if change.description is not None and change.description != before.description:
                describe_account(tx, account.id, change.description)
                record_audit(tx, by.actor, "user.describe", "", account.name)
            return listed_account(tx, account.id)

        return await self.database.write(unit)

    async def set_disabled(self, by: Authority, which: Which, *, is_disabled: bool) -> None:
        """Shut a user out at once, everywhere, or let them in again; raises like ``change``."""
        await self.change(by, which, UserChange(is_disabled=is_disabled))

    async def remove(self, by: Authority, which: Which) -> None:
        """Take a user away with tokens, memberships and bindings; raises NameUnknownHere, LastAdministrator."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            account = account_named(tx, which, "user")
            _check_not_last(tx, account)
            remove_account(tx, account.id)
            record_audit(tx, by.actor, "user.remove", "", account.name)

        await self.database.write(unit)


def _set_password(tx: Transaction, by: Authority, account: AccountRow, hashed: str) -> None:
    set_password_hash(tx, account.name, hashed)
    record_audit(tx, by.actor, "user.password", "", account.name)


def _set_disabled(tx: Transaction, by: Authority, account: AccountRow, *, is_disabled: bool) -> None:
    if is_disabled:
        _check_not_last(tx, account)
    set_disabled(tx, account.id, is_disabled=is_disabled)
    record_audit(tx, by.actor, "user.disable" if is_disabled else "user.enable", "", account.name)


def _set_admin(tx: Transaction, by: Authority, account: AccountRow, *, is_admin: bool) -> None:
    if not is_admin:
        _check_not_last(tx, account)
    set_admin(tx, account.id, is_admin=is_admin)
    record_audit(tx, by.actor, "user.admin", "", account.name, {"admin": int(is_admin)})


def _is_self(tx: Transaction, by: Authority, which: Which) -> bool:
    own = find_account(tx, by.account) if by.account else None
    return own is not None and which in {own.name, ById(own.uid)}


def _check_not_last(tx: Transaction, account: AccountRow) -> None:
    if account.is_admin and account.disabled_at is None and count_admins(tx) == 1:
        raise LastAdministrator(name=account.name)
