"""Personal tokens: what a user gives to a program in place of the password."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from entrepot.access.administration.accounts import PAGE, account_named
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.administration.robots import IssuedSecret
from entrepot.access.administration.which import ById, Which
from entrepot.access.credentials import Credential, CredentialKind
from entrepot.access.errors import NameUnknownHere, NameUnsuitable
from entrepot.access.limits import Limit, limits_to_json
from entrepot.access.rights import ADMINISTRATION, Action
from entrepot.access.stored_credentials import NAME_CHARACTERS_AT_MOST
from entrepot.metadata import (
    AccountRow,
    Database,
    ListedCredential,
    NewCredential,
    Transaction,
    add_credential,
    find_account,
    find_credential,
    list_credentials,
    listed_credential,
    record_audit,
    revoke_credential,
    trim_credentials,
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Make, list and revoke personal tokens. All raise Unavailable, StorageFull."""

    database: Database

    async def add(
        self, by: Authority, user: Which, name: str, lifetime: timedelta | None, limits: Sequence[Limit]
    ) -> IssuedSecret:
        """Make a token of a user, for ``lifetime`` or until it is revoked, narrowed to ``limits`` if there are any.

        The hundred newest of a user are kept. Raises NameUnknownHere, NameUnsuitable, Denied.
        """
        if not (0 < len(name) <= NAME_CHARACTERS_AT_MOST and name.isprintable()):
            raise NameUnsuitable(reason="name", name=name, characters_at_most=NAME_CHARACTERS_AT_MOST)
        scopes = limits_to_json(limits) if limits else None
        credential = Credential.make(CredentialKind.TOKEN)

        def unit(tx: Transaction) -> IssuedSecret:
            account = _whose(tx, by, user)
            expires_at = None if lifetime is None else tx.now + lifetime
            trim_credentials(tx, account.id, CredentialKind.TOKEN.value)
            new = NewCredential(credential.uid, CredentialKind.TOKEN.value, name, credential.digest, expires_at, scopes)
            add_credential(tx, account.id, new)
            record_audit(tx, by.actor, "token.add", "", account.name, {"token": credential.uid, "name": name})
            return IssuedSecret(account.name, credential.text, tx.now, expires_at)

        return await self.database.write(unit)

    async def page(self, by: Authority, user: Which) -> list[ListedCredential]:
        """A user's tokens, newest first; raises NameUnknownHere, Denied."""
        kind = CredentialKind.TOKEN.value
        return await self.database.read(lambda tx: list_credentials(tx, _whose(tx, by, user).id, kind, PAGE))

    async def find(self, by: Authority, uid: str) -> tuple[str, ListedCredential]:
        """A token and whose it is; raises NameUnknownHere alike for others'."""
        return await self.database.read(lambda tx: _seen(tx, by, uid))

    async def revoke(self, by: Authority, uid: str) -> None:
        """End a token now, and what was made from it; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            user, _ = _seen(tx, by, uid)
            if not revoke_credential(tx, uid):
                raise NameUnknownHere(kind="token", name=uid)
            record_audit(tx, by.actor, "token.revoke", "", user, {"token": uid})

        await self.database.write(unit)


def _seen(tx: Transaction, by: Authority, uid: str) -> tuple[str, ListedCredential]:
    found, listed = find_credential(tx, uid), listed_credential(tx, uid)
    if found is None or listed is None or found.kind != CredentialKind.TOKEN:
        raise NameUnknownHere(kind="token", name=uid)
    is_own = by.is_in_person and found.account.uid == by.account
    if not is_own and not by.may(tx, Action.ADMINISTER, ADMINISTRATION):
        raise NameUnknownHere(kind="token", name=uid)
    return found.account.name, listed


def _whose(tx: Transaction, by: Authority, user: Which) -> AccountRow:
    """The account that is meant: one's own, or anybody's for an administrator; raises Denied, NameUnknownHere."""
    own = find_account(tx, by.account) if by.account and by.is_in_person else None
    if own is not None and user in {own.name, ById(own.uid)} and own.kind == "user":
        return own
    require_admin(tx, by)
    return account_named(tx, user, "user")
