"""The one decision about rights: values in, a truth value out, denied unless something allows it."""

from dataclasses import dataclass
from enum import StrEnum

from entrepot.access.principals import Principal
from entrepot.access.rights import Action, Resource


class AnonymousAccess(StrEnum):
    """What everyone may do without credentials."""

    NONE = "none"
    PULL = "pull"
    PUSH = "push"


@dataclass(frozen=True, slots=True)
class Rules:
    """What decisions rest on besides the principal itself."""

    anonymous: AnonymousAccess = AnonymousAccess.NONE


_OF_EVERYONE = {
    AnonymousAccess.NONE: frozenset[Action](),
    AnonymousAccess.PULL: frozenset({Action.PULL, Action.CATALOG}),
    AnonymousAccess.PUSH: frozenset({Action.PULL, Action.CATALOG, Action.PUSH}),
}


def decide(principal: Principal, action: Action, resource: Resource, rules: Rules) -> bool:
    """Whether ``principal``, in its current state, may do ``action`` on ``resource``.

    An administrator may do everything that there is to do; everyone else what the rules give to everyone. Whoever may
    pull everywhere may list the catalog too; nothing is ever deleted, and no figures are read, without a name.
    """
    if action not in resource.actions:
        return False
    return principal.is_admin or action in _OF_EVERYONE[rules.anonymous]
