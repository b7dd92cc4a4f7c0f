"""Credentials as they are stored: made, found again, and asked whether they still count."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from entrepot.access.credentials import Credential, CredentialKind
from entrepot.access.limits import limits_from_json
from entrepot.access.lru import Recent
from entrepot.access.port import Clock
from entrepot.access.principals import Caller, Principal, PrincipalKind
from entrepot.metadata import (
    AccountRow,
    CredentialRow,
    Database,
    NewCredential,
    Transaction,
    add_credential,
    find_account,
    find_account_by_name,
    find_credential,
    trim_credentials,
)
from entrepot.oci import Unauthorized
from entrepot.secrets import Secret

NAME_CHARACTERS_AT_MOST = 64
REMEMBERED_AT_MOST = 4096  # credentials whose state a process remembers; some hundred bytes each


def principal_of(account: AccountRow) -> Principal:
    """The principal that an account is."""
    return Principal(PrincipalKind(account.kind), account.uid, account.name, account.is_admin)


def check_account(account: AccountRow, now: datetime) -> None:
    """Refuse an account that is disabled or over; raises Unauthorized with the reason."""
    if account.disabled_at is not None:
        raise Unauthorized(reason="disabled")
    if account.expires_at is not None and account.expires_at <= now:
        raise Unauthorized(reason="expired")


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """Credentials in the database; what is stored of a secret is its digest."""

    database: Database

    async def make(self, kind: CredentialKind, caller: Caller, name: str, lifetime: timedelta) -> Secret:
        """Make a refresh token or a session for ``caller``, called ``name``; shown this once.

        It ends with the credential that the caller showed, and not later; the oldest of an account goes when it has a
        hundred. Raises Unauthorized where the account or that credential no longer counts.
        """
        made = Credential.make(kind)

        def unit(tx: Transaction) -> None:
            account = find_account(tx, caller.principal.id)
            if account is None:
                raise Unauthorized(reason="revoked")
            check_account(account, tx.now)
            parent = find_credential(tx, caller.credential) if caller.credential else None
            if caller.credential:
                _check(parent, tx.now)
            expires_at = tx.now + lifetime
            if parent is not None and parent.expires_at is not None:
                expires_at = min(expires_at, parent.expires_at)
            trim_credentials(tx, account.id, kind.value)
            new = NewCredential(
                made.uid,
                kind.value,
                _printable(name),
                made.digest,
                expires_at,
                None if parent is None else parent.scopes,
                None if parent is None else parent.id,
            )
            add_credential(tx, account.id, new)

        await self.database.write(unit)
        return made.text

    async def identify(self, text: Secret, *kinds: CredentialKind) -> Caller:
        """Whose credential of one of these kinds a text is.

        Raises Unauthorized with the reasons ``credentials`` (none of ours), ``revoked``, ``expired`` and
        ``disabled``; all but the first only to who has the whole secret.
        """
        credential = Credential.parse(text)
        if credential is None or credential.kind not in kinds:
            raise Unauthorized(reason="credentials")

        def unit(tx: Transaction) -> CredentialRow:
            found = find_credential(tx, credential.uid)
            if found is None or found.kind != credential.kind or not credential.has_digest(found.digest):
                raise Unauthorized(reason="credentials")
            _check(found, tx.now)
            return found

        row = await self.database.read(unit)
        limits = None if row.scopes is None else limits_from_json(row.scopes)
        return Caller(principal_of(row.account), None, row.uid, limits=limits)

    async def vouched(self, name: str) -> Caller:
        """The account of that name, for a client whose certificate names it.

        Raises Unauthorized with the reasons ``certificate`` (there is none), ``disabled`` and ``expired``.
        """

        def unit(tx: Transaction) -> AccountRow:
            account = find_account_by_name(tx, name) if name else None
            if account is None:
                raise Unauthorized(reason="certificate")
            check_account(account, tx.now)
            return account

        return Caller(principal_of(await self.database.read(unit)), None)


class LiveCredentials:
    """Whether credentials from which tokens were made still count, remembered under the version of all rights."""

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock
        self._known: Recent[str, tuple[int, CredentialRow | None]] = Recent(REMEMBERED_AT_MOST)

    async def check(self, caller: Caller, access_version: int) -> None:
        """Refuse a token whose credential was revoked or is over; raises Unauthorized with the reason."""
        if not caller.credential or caller.granted is None:
            return
        known = self._known.get(caller.credential)
        if known is None or known[0] != access_version:
            known = (access_version, await self._database.read(lambda tx: find_credential(tx, caller.credential)))
            self._known.put(caller.credential, known)
        _check(known[1], datetime.fromtimestamp(self._clock(), UTC))


def _check(row: CredentialRow | None, now: datetime) -> None:
    if row is None or row.revoked_at is not None:
        raise Unauthorized(reason="revoked")
    if row.expires_at is not None and row.expires_at <= now:
        raise Unauthorized(reason="expired")
    check_account(row.account, now)


def _printable(name: str) -> str:
    """The name of a credential: what a client calls itself, without what cannot be shown."""
    return "".join(character for character in name if character.isprintable())[:NAME_CHARACTERS_AT_MOST]
