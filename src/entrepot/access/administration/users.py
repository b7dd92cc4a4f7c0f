"""Users: people who log in with a password of this registry, or by a provider."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE, account_named, check_account_name
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.database_users import stored_user_of
from entrepot.access.errors import LastAdministrator, NameTaken
from entrepot.access.passwords import Passwords
from entrepot.access.secret import Secret
from entrepot.metadata import (
    AccountRow,
    Database,
    ListedAccount,
    Transaction,
    add_user,
    count_admins,
    find_account,
    list_accounts,
    record_audit,
    remove_account,
    set_disabled,
    set_password_hash,
)
from entrepot.oci import Unauthorized


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

    async def add(self, by: Authority, name: str, password: Secret, *, is_admin: bool) -> None:
        """Make a user; raises Denied, NameUnsuitable, NameTaken, RequestInvalid for a password that cannot be."""
        check_account_name(name)
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            if not add_user(tx, name, hashed, is_admin=is_admin):
                raise NameTaken(kind="account", name=name)
            record_audit(tx, by.actor, "user.add", "", name, {"admin": int(is_admin)})

        await self.database.write(unit)

    async def set_password(self, by: Authority, name: str, password: Secret, *, current: Secret | None = None) -> None:
        """Give a user another password; sessions and refresh tokens of the old one end.

        Users change their own by giving the ``current`` one. Raises NameUnknownHere, Denied, Unauthorized for a wrong
        ``current`` one.
        """
        if current is not None:
            await self._check(name, current)
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> None:
            if not self._is_own(tx, by, name, current):
                require_admin(tx, by)
            account_named(tx, name, "user")
            set_password_hash(tx, name, hashed)
            record_audit(tx, by.actor, "user.password", "", name)

        await self.database.write(unit)

    async def set_disabled(self, by: Authority, name: str, *, is_disabled: bool) -> None:
        """Shut a user out at once, everywhere, or let them in again; raises NameUnknownHere, LastAdministrator."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            account = account_named(tx, name, "user")
            if is_disabled:
                _check_not_last(tx, account)
            set_disabled(tx, account.id, is_disabled=is_disabled)
            record_audit(tx, by.actor, "user.disable" if is_disabled else "user.enable", "", name)

        await self.database.write(unit)

    async def remove(self, by: Authority, name: str) -> None:
        """Take a user away with tokens, memberships and bindings; raises NameUnknownHere, LastAdministrator."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            account = account_named(tx, name, "user")
            _check_not_last(tx, account)
            remove_account(tx, account.id)
            record_audit(tx, by.actor, "user.remove", "", name)

        await self.database.write(unit)

    async def _check(self, name: str, current: Secret) -> None:
        row = await self.database.hot.find_user(name)
        user = None if row is None else stored_user_of(row)
        if not await self.passwords.verify(name, user, current):
            raise Unauthorized(reason="credentials")

    def _is_own(self, tx: Transaction, by: Authority, name: str, current: Secret | None) -> bool:
        """Whether a user changes their own password, which was checked, and has one here."""
        if current is None or not by.account or not by.is_in_person:
            return False
        own = find_account(tx, by.account)
        return own is not None and own.name == name and own.issuer is None


def _check_not_last(tx: Transaction, account: AccountRow) -> None:
    if account.is_admin and account.disabled_at is None and count_admins(tx) == 1:
        raise LastAdministrator(name=account.name)
