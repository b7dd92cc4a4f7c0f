"""Robots: accounts of machines, with secrets that are shown once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from entrepot.access.administration.accounts import PAGE, account_named, check_account_name
from entrepot.access.administration.bindings import BindingSubject, SubjectKind, bind
from entrepot.access.administration.projects import project_named
from entrepot.access.credentials import Credential, CredentialKind
from entrepot.access.errors import NameTaken, NameUnknownHere
from entrepot.access.patterns import RepositoryPattern
from entrepot.access.providers import check_conditions
from entrepot.access.secret import Secret
from entrepot.access.standing import DEFAULT_PROJECT
from entrepot.metadata import (
    Actor,
    Database,
    ListedAccount,
    ListedTrust,
    NewCredential,
    Transaction,
    add_credential,
    add_robot,
    add_trust,
    end_credentials,
    list_accounts,
    list_credentials,
    record_audit,
    remove_account,
    remove_trust,
    revoke_credential,
    set_disabled,
    trim_credentials,
    trusts_of,
)

OVERLAP = timedelta(hours=24)
"""For how long the secret of before is good beside a new one, so that nothing breaks while it is handed out."""


@dataclass(frozen=True, slots=True)
class NewRobot:
    """A robot to be made: what it may do where, and until when it is to exist (None: until it is removed)."""

    name: str
    role: str = "reader"
    repositories: tuple[RepositoryPattern, ...] = ()
    project: str | None = None
    description: str = ""
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A secret that is shown this once."""

    name: str
    secret: Secret
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Robots:
    """Make, list, shut out and remove robots, and change their secrets. All raise Unavailable, StorageFull."""

    database: Database

    async def page(self, after: str = "", at_most: int = PAGE) -> list[ListedAccount]:
        """Up to ``at_most`` robots with names after ``after``, in byte order."""
        return await self.database.read(lambda tx: list_accounts(tx, "robot", after, at_most))

    async def add(self, actor: Actor, robot: NewRobot) -> IssuedSecret:
        """Make a robot with a secret and its bindings, in one transaction.

        It is owned by ``project``, without one by the system. Raises NameUnsuitable, NameTaken, NameUnknownHere.
        """
        check_account_name(robot.name)
        credential = Credential.make(CredentialKind.SECRET)

        def unit(tx: Transaction) -> IssuedSecret:
            project = project_named(tx, robot.project or DEFAULT_PROJECT)
            expires_at = None if robot.lifetime is None else tx.now + robot.lifetime
            number = add_robot(tx, robot.name, project.id, robot.description, expires_at, actor)
            if number is None:
                raise NameTaken(kind="account", name=robot.name)
            subject = BindingSubject(SubjectKind.ACCOUNT, robot.name)
            for pattern in robot.repositories:
                bind(tx, actor, subject, robot.role, pattern, project=robot.project, inherited=False)
            add_credential(tx, number, _stored(credential))
            detail = {"role": robot.role, "repositories": " ".join(map(str, robot.repositories))}
            record_audit(tx, actor, "robot.add", "", robot.name, detail)
            return IssuedSecret(robot.name, credential.text, tx.now, expires_at)

        return await self.database.write(unit)

    async def rotate(self, actor: Actor, name: str, overlap: timedelta = OVERLAP) -> IssuedSecret:
        """Give a robot a new secret; the last one ends after ``overlap``, and any before it now.

        So at most two are good at any time. Raises NameUnknownHere.
        """
        credential = Credential.make(CredentialKind.SECRET)

        def unit(tx: Transaction) -> IssuedSecret:
            account = account_named(tx, name, "robot")
            kind = CredentialKind.SECRET.value
            for older in list_credentials(tx, account.id, kind, PAGE)[1:]:
                revoke_credential(tx, older.uid)
            end_credentials(tx, account.id, kind, tx.now + overlap)
            trim_credentials(tx, account.id, kind)
            add_credential(tx, account.id, _stored(credential))
            record_audit(tx, actor, "robot.rotate", "", name, {"overlap_seconds": int(overlap.total_seconds())})
            return IssuedSecret(name, credential.text, tx.now, account.expires_at)

        return await self.database.write(unit)

    async def set_disabled(self, actor: Actor, name: str, *, is_disabled: bool) -> None:
        """Shut a robot out at once, everywhere, or let it in again; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            set_disabled(tx, account_named(tx, name, "robot").id, is_disabled=is_disabled)
            record_audit(tx, actor, "robot.disable" if is_disabled else "robot.enable", "", name)

        await self.database.write(unit)

    async def remove(self, actor: Actor, name: str) -> None:
        """Take a robot away with its secrets, trusts and bindings; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            remove_account(tx, account_named(tx, name, "robot").id)
            record_audit(tx, actor, "robot.remove", "", name)

        await self.database.write(unit)

    async def trust(self, actor: Actor, name: str, issuer: str, conditions: Mapping[str, str]) -> str:
        """Let an issuer's tokens with these claims stand for a robot, without a secret; returns the trust's uid.

        Raises NameUnknownHere, RequestInvalid for conditions that could not be meant.
        """
        check_conditions(conditions)

        def unit(tx: Transaction) -> str:
            uid = add_trust(tx, account_named(tx, name, "robot").id, issuer, conditions, actor)
            record_audit(tx, actor, "robot.trust", "", name, {"issuer": issuer})
            return uid

        return await self.database.write(unit)

    async def trusts(self, name: str) -> list[ListedTrust]:
        """Whom a robot trusts; raises NameUnknownHere."""
        return await self.database.read(lambda tx: trusts_of(tx, account_named(tx, name, "robot").id))

    async def distrust(self, actor: Actor, name: str, uid: str) -> None:
        """Take a trust away: tokens of that kind are good for nothing from now on. Raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            if not remove_trust(tx, account_named(tx, name, "robot").id, uid):
                raise NameUnknownHere(kind="trust", name=uid)
            record_audit(tx, actor, "robot.distrust", "", name)

        await self.database.write(unit)


def _stored(credential: Credential) -> NewCredential:
    """As a row without an end of its own: a robot's account has one, and rotation sets it."""
    return NewCredential(credential.uid, credential.kind.value, "secret", credential.digest, None)
