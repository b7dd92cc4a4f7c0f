"""Who asks: principals, and callers, which are principals with what their credentials allow."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from entrepot.access.limits import Limit
from entrepot.access.rights import Action, Grant, Resource
from entrepot.metadata import Actor


class PrincipalKind(StrEnum):
    """What sort of identity a principal is."""

    ANONYMOUS = "anonymous"
    USER = "user"
    ROBOT = "robot"


@dataclass(frozen=True, slots=True)
class Via:
    """How somebody came: the address, and the id of the token or secret that was shown, empty for none."""

    address: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity whose credentials were checked.

    ``id`` is opaque, never used again and empty for the anonymous principal; ``name`` is for people. ``is_admin`` is
    what was known when the credentials were checked (always false from a token): rights follow the current state,
    which only the Authorizer knows.
    """

    kind: PrincipalKind
    id: str
    name: str
    is_admin: bool = False
    via: Via = field(default_factory=Via, compare=False, repr=False)

    @property
    def actor(self) -> Actor:
        """The snapshot that records keep."""
        return Actor(self.kind.value, self.id, self.name, self.via.address, self.via.credential)


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "", "anonymous")
"""Whoever sends no credentials."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal as it came with one request.

    ``granted`` is what its token carries, and None when the credentials themselves were sent (or none at all): then
    every right of the principal counts. ``credential`` is the uid of the stored credential behind it all, empty for a
    password; ``limits`` is what that is narrowed to, None for nothing. ``is_expired`` marks a token whose time is over,
    which counts where an upload session stands for it.
    """

    principal: Principal
    granted: frozenset[Grant] | None
    credential: str = ""
    is_expired: bool = False
    limits: tuple[Limit, ...] | None = None

    def came_from(self, address: str) -> Self:
        """The same, with where it came from kept beside the principal."""
        via = Via(address, self.credential)
        return replace(self, principal=replace(self.principal, via=via))

    def carries(self, action: Action, resource: Resource, project: str = "") -> bool:
        """Whether the credentials of this request extend to ``action``, whatever the rights of the principal are.

        ``project`` is the uid of the project in which the repository lies now.
        """
        if not self.is_within_limits(action, resource):
            return False
        return self.granted is None or Grant(resource, action, project) in self.granted

    def is_within_limits(self, action: Action, resource: Resource) -> bool:
        """Whether ``action`` lies within what the credential is narrowed to."""
        return self.limits is None or any(limit.allows(action, resource) for limit in self.limits)
