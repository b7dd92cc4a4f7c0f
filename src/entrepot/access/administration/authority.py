"""On whose authority something is administered: asked about the loaded object, in the transaction that changes it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from entrepot.access.database_standings import standing_of
from entrepot.access.decide import Rules, decide, inherits
from entrepot.access.principals import Caller
from entrepot.access.rights import ADMINISTRATION, Action, Resource
from entrepot.access.standing import Places, Standing
from entrepot.metadata import Actor, Transaction, project_uids
from entrepot.oci import Denied, Unauthorized


class Authority(Protocol):
    """Who administers, and what that one may."""

    def check(self, tx: Transaction) -> None:
        """Go on only while it counts at all; raises Unauthorized."""
        ...

    @property
    def actor(self) -> Actor:
        """The snapshot that audit rows keep."""
        ...

    @property
    def account(self) -> str:
        """The uid of the account that acts; empty for an operator."""
        ...

    @property
    def is_in_person(self) -> bool:
        """Whether it came with a password or a session: a token that somebody stole is to make no further ones."""
        ...

    def may(self, tx: Transaction, action: Action, resource: Resource) -> bool:
        """Whether it may do ``action`` on ``resource``."""
        ...

    def may_beneath(self, tx: Transaction, action: Action, project: str) -> bool:
        """Whether it may do ``action`` in the project and in every one beneath it."""
        ...


def require(tx: Transaction, by: Authority, action: Action, resource: Resource) -> None:
    """Go on only with the right; raises Denied, which names it."""
    if not by.may(tx, action, resource):
        raise Denied(scope=f"{resource.kind.value}:{resource.name}:{action.value}")


def require_admin(tx: Transaction, by: Authority) -> None:
    """Go on only for an administrator; raises Denied."""
    require(tx, by, Action.ADMINISTER, ADMINISTRATION)


def require_all(tx: Transaction, by: Authority, actions: Iterable[Action], project: str) -> None:
    """Go on only with every one of these rights on the whole project: nobody gives what they do not have."""
    for action in sorted(actions):
        require(tx, by, action, Resource.project(project))


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever has the data itself, and so may everything."""

    actor: Actor
    account: str = ""
    is_in_person: bool = True

    def check(self, tx: Transaction) -> None:
        """It always does."""

    def may(self, tx: Transaction, action: Action, resource: Resource) -> bool:  # ruff: ignore[unused-method-argument]  the port's signature
        """Everything."""
        return True

    def may_beneath(self, tx: Transaction, action: Action, project: str) -> bool:  # ruff: ignore[unused-method-argument]  likewise
        """Everything."""
        return True


@dataclass(slots=True)
class Acting:
    """A caller: what its credentials carry and what its rights are in this very transaction."""

    caller: Caller
    actor: Actor
    rules: Rules
    is_in_person: bool
    _within: tuple[Transaction, Standing, Places] | None = field(default=None, init=False, repr=False)

    @property
    def account(self) -> str:
        """The uid of its account."""
        return self.caller.principal.id

    def check(self, tx: Transaction) -> None:
        """Its account is there and not disabled; raises Unauthorized."""
        self.standing(tx)

    def standing(self, tx: Transaction) -> Standing:
        """How its account stands; raises Unauthorized for one that is gone or disabled."""
        return self._rights(tx)[0]

    def may(self, tx: Transaction, action: Action, resource: Resource) -> bool:
        """By the one decision; raises Unauthorized for an account that is gone or disabled."""
        if not self.caller.carries(action, resource):
            return False
        standing, places = self._rights(tx)
        return decide(standing, action, resource, self.rules, places).is_allowed

    def may_beneath(self, tx: Transaction, action: Action, project: str) -> bool:
        """By an administrator's rights, or a binding that is inherited itself."""
        if not self.caller.carries(action, Resource.project(project)):
            return False
        standing, _ = self._rights(tx)
        return inherits(standing, action, project)

    def _rights(self, tx: Transaction) -> tuple[Standing, Places]:
        """How the principal stands, read once in each transaction."""
        if self._within is None or self._within[0] is not tx:
            standing = standing_of(tx, self.caller.principal)
            if standing is None or (standing.expires_at is not None and standing.expires_at <= tx.now):
                raise Unauthorized(reason="disabled")
            self._within = tx, standing, Places(project_uids(tx))
        return self._within[1:]
