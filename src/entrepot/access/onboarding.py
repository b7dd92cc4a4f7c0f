"""People whom a provider vouches for, as accounts of this registry."""

from dataclasses import dataclass
from typing import Final

from entrepot.access.errors import AccountNameTaken
from entrepot.access.principals import Principal
from entrepot.access.providers import ExternalIdentity, IdentityRefused
from entrepot.access.stored_credentials import check_account, principal_of
from entrepot.metadata import (
    AccountRow,
    Actor,
    Database,
    Transaction,
    add_external_account,
    find_account,
    find_external_account,
    note_login,
    record_audit,
    rename_account,
    replace_login_groups,
    set_admin,
)
from entrepot.oci import Unavailable

NAME_CHARACTERS_AT_MOST: Final = 128

_NOT_IN_NAMES = frozenset("/:@")


@dataclass(frozen=True, slots=True)
class Onboarding:
    """Finds or makes the account of an identity, and brings it up to what its provider says now.

    Members of ``admin_group`` administrate this registry, and nobody else of that provider; None: the provider has no
    say in that. ``way`` is how the login is called in the audit.
    """

    database: Database
    admin_group: str | None
    way: str

    async def __call__(self, identity: ExternalIdentity) -> Principal:
        """The principal that logs in.

        Issuer and subject make the account, the name never does: one that another account has is refused. Groups are
        replaced by those of now, as far as there are groups of these names. Raises AccountNameTaken, IdentityRefused
        for a name that no account may have, Unauthorized for a disabled account, Unavailable.
        """
        return await self.database.write(lambda tx: self._log_in(tx, identity))

    def _log_in(self, tx: Transaction, identity: ExternalIdentity) -> Principal:
        account = self._account(tx, identity)
        check_account(account, tx.now)
        if account.name != identity.name and is_account_name(identity.name):
            rename_account(tx, account.id, identity.name)
        is_admin = self.admin_group in identity.groups if self.admin_group else account.is_admin
        if is_admin is not account.is_admin:
            set_admin(tx, account.id, is_admin=is_admin)
        replace_login_groups(tx, account.id, identity.groups)
        note_login(tx, account.id)
        current = find_account(tx, account.uid)
        if current is None:
            raise Unavailable(reason="conflict")
        principal = principal_of(current)
        actor = Actor(principal.kind.value, principal.id, principal.name)
        record_audit(tx, actor, "login", "", "", {"way": self.way})
        return principal

    def _account(self, tx: Transaction, identity: ExternalIdentity) -> AccountRow:
        found = find_external_account(tx, identity.issuer, identity.subject)
        if found is not None:
            return found
        if not is_account_name(identity.name):
            raise IdentityRefused(reason="name", characters_at_most=NAME_CHARACTERS_AT_MOST)
        add_external_account(tx, identity.issuer, identity.subject, identity.name, is_admin=False)
        made = find_external_account(tx, identity.issuer, identity.subject)
        if made is None:
            raise AccountNameTaken(reason="name")
        return made


def is_account_name(name: str) -> bool:
    """Whether an account may be called that: printable, and nothing that stands for something else where it is used."""
    return (
        0 < len(name) <= NAME_CHARACTERS_AT_MOST
        and name.isprintable()
        and not any(character.isspace() or character in _NOT_IN_NAMES for character in name)
    )
