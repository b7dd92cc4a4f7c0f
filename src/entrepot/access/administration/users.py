"""Users: people who log in with a password of this registry, or by a provider."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE, account_named, check_account_name
from entrepot.access.errors import LastAdministrator, NameTaken
from entrepot.access.passwords import Passwords
from entrepot.access.secret import Secret
from entrepot.metadata import (
    AccountRow,
    Actor,
    Database,
    ListedAccount,
    Transaction,
    add_user,
    count_admins,
    list_accounts,
    record_audit,
    remove_account,
    set_disabled,
    set_password_hash,
)


@dataclass(frozen=True, slots=True)
class Users:
    """Make, list, shut out and remove users, and give them passwords. All raise Unavailable, StorageFull."""

    database: Database
    passwords: Passwords

    async def page(self, after: str = "", at_most: int = PAGE) -> list[ListedAccount]:
        """Up to ``at_most`` users with names after ``after``, in byte order."""
        return await self.database.read(lambda tx: list_accounts(tx, "user", after, at_most))

    async def add(self, actor: Actor, name: str, password: Secret, *, is_admin: bool) -> None:
        """Make a user; raises NameUnsuitable, NameTaken, RequestInvalid for a password that cannot be."""
        check_account_name(name)
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> None:
            if not add_user(tx, name, hashed, is_admin=is_admin):
                raise NameTaken(kind="account", name=name)
            record_audit(tx, actor, "user.add", "", name, {"admin": int(is_admin)})

        await self.database.write(unit)

    async def set_password(self, actor: Actor, name: str, password: Secret) -> None:
        """Give a user another password; sessions and refresh tokens of the old one end. Raises NameUnknownHere."""
        hashed = await self.passwords.hash(password)

        def unit(tx: Transaction) -> None:
            account_named(tx, name, "user")
            set_password_hash(tx, name, hashed)
            record_audit(tx, actor, "user.password", "", name)

        await self.database.write(unit)

    async def set_disabled(self, actor: Actor, name: str, *, is_disabled: bool) -> None:
        """Shut a user out at once, everywhere, or let them in again; raises NameUnknownHere, LastAdministrator."""

        def unit(tx: Transaction) -> None:
            account = account_named(tx, name, "user")
            if is_disabled:
                _check_not_last(tx, account)
            set_disabled(tx, account.id, is_disabled=is_disabled)
            record_audit(tx, actor, "user.disable" if is_disabled else "user.enable", "", name)

        await self.database.write(unit)

    async def remove(self, actor: Actor, name: str) -> None:
        """Take a user away with tokens, memberships and bindings; raises NameUnknownHere, LastAdministrator."""

        def unit(tx: Transaction) -> None:
            account = account_named(tx, name, "user")
            _check_not_last(tx, account)
            remove_account(tx, account.id)
            record_audit(tx, actor, "user.remove", "", name)

        await self.database.write(unit)


def _check_not_last(tx: Transaction, account: AccountRow) -> None:
    if account.is_admin and account.disabled_at is None and count_admins(tx) == 1:
        raise LastAdministrator(name=account.name)
