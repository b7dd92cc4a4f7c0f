"""Robots: accounts of machines, with secrets that are shown once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from entrepot.access.administration.accounts import PAGE, account_named, check_account_name
from entrepot.access.administration.authority import Authority, require, require_all
from entrepot.access.administration.bindings import BindingSubject, SubjectKind, bind, project_of
from entrepot.access.administration.projects import parse_project_name, project_named
from entrepot.access.administration.roles import role_actions
from entrepot.access.administration.which import Which, check_version
from entrepot.access.credentials import Credential, CredentialKind
from entrepot.access.database_standings import binding_of
from entrepot.access.errors import NameTaken, NameUnknownHere
from entrepot.access.patterns import RepositoryPattern
from entrepot.access.providers import check_conditions
from entrepot.access.rights import Action, Resource
from entrepot.access.standing import DEFAULT_PROJECT
from entrepot.metadata import (
    AccountRow,
    Database,
    ListedAccount,
    ListedTrust,
    NewCredential,
    Transaction,
    add_credential,
    add_robot,
    add_trust,
    bindings_for,
    describe_account,
    end_credentials,
    list_accounts,
    list_credentials,
    listed_account,
    owner_of,
    record_audit,
    remove_account,
    remove_trust,
    revoke_credential,
    set_disabled,
    set_expiry,
    trim_credentials,
    trusts_of,
)
from entrepot.oci import Denied
from entrepot.secrets import Secret

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
class RobotChange:
    """What is to be changed of a robot; None leaves it as it is. ``lifetime`` counts from now."""

    is_disabled: bool | None = None
    description: str | None = None
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

    async def page(self, by: Authority, after: str = "", at_most: int = PAGE) -> list[ListedAccount]:
        """Up to ``at_most`` robots with names after ``after`` that may be looked after, in byte order.

        Looks through as many pages of robots as there are.
        """

        def unit(tx: Transaction) -> list[ListedAccount]:
            found: list[ListedAccount] = []
            last = after
            while len(found) < at_most and (rows := list_accounts(tx, "robot", last, PAGE)):
                found += [row for row in rows if _looks_after(tx, by, row.project)]
                last = rows[-1].name
            return found[:at_most]

        return await self.database.read(unit)

    async def add(self, by: Authority, robot: NewRobot) -> IssuedSecret:
        """Make a robot with a secret and its bindings, in one transaction.

        It is owned by ``project``, without one by the system. It takes somebody who looks after that project's robots,
        and who has all that the robot gets. Raises NameUnsuitable, NameTaken, NameUnknownHere, Denied.
        """
        check_account_name(robot.name)
        credential = Credential.make(CredentialKind.SECRET)

        def unit(tx: Transaction) -> IssuedSecret:
            owner = (
                DEFAULT_PROJECT if robot.project in {None, DEFAULT_PROJECT} else parse_project_name(str(robot.project))
            )
            require(tx, by, Action.ROBOTS, Resource.project(owner))
            project = project_named(tx, owner)
            expires_at = None if robot.lifetime is None else tx.now + robot.lifetime
            number = add_robot(tx, robot.name, project.id, robot.description, expires_at, by.actor)
            if number is None:
                raise NameTaken(kind="account", name=robot.name)
            subject = BindingSubject(SubjectKind.ACCOUNT, robot.name)
            for pattern in robot.repositories:
                chosen = project_of(tx, pattern) if robot.project is None else project
                require_all(tx, by, role_actions(tx, robot.role), chosen.name)
                bind(tx, by, subject, robot.role, pattern, chosen, inherited=False)
            add_credential(tx, number, _stored(credential))
            detail = {"role": robot.role, "repositories": " ".join(map(str, robot.repositories))}
            record_audit(tx, by.actor, "robot.add", "", robot.name, detail)
            return IssuedSecret(robot.name, credential.text, tx.now, expires_at)

        return await self.database.write(unit)

    async def find(self, by: Authority, which: Which) -> ListedAccount:
        """One robot that may be looked after; raises NameUnknownHere."""
        return await self.database.read(lambda tx: listed_account(tx, _robot(tx, by, which).id))

    async def change(
        self, by: Authority, which: Which, change: RobotChange, *, version: int | None = None
    ) -> ListedAccount:
        """Change what is given, of the row that has ``version`` if that is given.

        Who lets a robot exist for longer must have all that it may. Raises NameUnknownHere, Denied, VersionMismatch.
        """

        def unit(tx: Transaction) -> ListedAccount:
            account = _robot(tx, by, which, gets_in=change.lifetime is not None)
            before = listed_account(tx, account.id)
            check_version(before.version, version)
            if change.is_disabled is not None and change.is_disabled != (before.disabled_at is not None):
                set_disabled(tx, account.id, is_disabled=change.is_disabled)
                record_audit(tx, by.actor, f"robot.{_verb(is_disabled=change.is_disabled)}", "", account.name)
            if change.description is not None and change.description != before.description:
                describe_account(tx, account.id, change.description)
                record_audit(tx, by.actor, "robot.describe", "", account.name)
            if change.lifetime is not None:
                set_expiry(tx, account.id, tx.now + change.lifetime)
                detail = {"seconds": int(change.lifetime.total_seconds())}
                record_audit(tx, by.actor, "robot.expire", "", account.name, detail)
            return listed_account(tx, account.id)

        return await self.database.write(unit)

    async def rotate(self, by: Authority, which: Which, overlap: timedelta = OVERLAP) -> IssuedSecret:
        """Give a robot a new secret; the last one ends after ``overlap``, and any before it now.

        So at most two are good at any time. Raises NameUnknownHere.
        """
        credential = Credential.make(CredentialKind.SECRET)

        def unit(tx: Transaction) -> IssuedSecret:
            account = _robot(tx, by, which, gets_in=True)
            kind = CredentialKind.SECRET.value
            for older in list_credentials(tx, account.id, kind, PAGE)[1:]:
                revoke_credential(tx, older.uid)
            end_credentials(tx, account.id, kind, tx.now + overlap)
            trim_credentials(tx, account.id, kind)
            add_credential(tx, account.id, _stored(credential))
            record_audit(
                tx, by.actor, "robot.rotate", "", account.name, {"overlap_seconds": int(overlap.total_seconds())}
            )
            return IssuedSecret(account.name, credential.text, tx.now, account.expires_at)

        return await self.database.write(unit)

    async def set_disabled(self, by: Authority, which: Which, *, is_disabled: bool) -> None:
        """Shut a robot out at once, everywhere, or let it in again; raises NameUnknownHere."""
        await self.change(by, which, RobotChange(is_disabled=is_disabled))

    async def remove(self, by: Authority, which: Which) -> None:
        """Take a robot away with its secrets, trusts and bindings; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            account = _robot(tx, by, which)
            remove_account(tx, account.id)
            record_audit(tx, by.actor, "robot.remove", "", account.name)

        await self.database.write(unit)

    async def trust(self, by: Authority, which: Which, issuer: str, conditions: Mapping[str, str]) -> str:
        """Let an issuer's tokens with these claims stand for a robot, without a secret; returns the trust's uid.

        Raises NameUnknownHere, Denied, RequestInvalid for conditions that could not be meant.
        """
        check_conditions(conditions)

        def unit(tx: Transaction) -> str:
            account = _robot(tx, by, which, gets_in=True)
            uid = add_trust(tx, account.id, issuer, conditions, by.actor)
            record_audit(tx, by.actor, "robot.trust", "", account.name, {"issuer": issuer})
            return uid

        return await self.database.write(unit)

    async def trusts(self, by: Authority, which: Which) -> list[ListedTrust]:
        """Whom a robot trusts; raises NameUnknownHere."""
        return await self.database.read(lambda tx: trusts_of(tx, _robot(tx, by, which).id))

    async def distrust(self, by: Authority, which: Which, uid: str) -> None:
        """Take a trust away: tokens of that kind are good for nothing from now on. Raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            account = _robot(tx, by, which)
            if not remove_trust(tx, account.id, uid):
                raise NameUnknownHere(kind="trust", name=uid)
            record_audit(tx, by.actor, "robot.distrust", "", account.name)

        await self.database.write(unit)


def _verb(*, is_disabled: bool) -> str:
    return "disable" if is_disabled else "enable"


def _looks_after(tx: Transaction, by: Authority, project: str | None) -> bool:
    return by.may(tx, Action.ROBOTS, Resource.project(project or DEFAULT_PROJECT))


def _robot(tx: Transaction, by: Authority, which: Which, *, gets_in: bool = False) -> AccountRow:
    """The robot of that name, if its project's robots may be looked after; raises NameUnknownHere alike for others.

    Who ``gets_in``, by a secret or a token of their own, must have all that the robot may: raises Denied.
    """
    account = account_named(tx, which, "robot")
    if not _looks_after(tx, by, owner_of(tx, account.id)):
        raise NameUnknownHere(kind="robot", name=str(which))
    if gets_in:
        for binding in map(binding_of, bindings_for(tx, account.id)):
            if binding.subject not in {"authenticated", "anonymous"}:
                require_all(tx, by, binding.actions, binding.project)
                if binding.inherited and not by.may_beneath(tx, Action.PROJECT, binding.project):
                    raise Denied(scope=f"project:{binding.project}:project", reason="inherited")
    return account


def _stored(credential: Credential) -> NewCredential:
    """As a row without an end of its own: a robot's account has one, and rotation sets it."""
    return NewCredential(credential.uid, credential.kind.value, "secret", credential.digest, None)
