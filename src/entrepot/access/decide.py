"""The one decision about rights: values in, an answer out, denied unless something allows it."""

from dataclasses import dataclass
from enum import StrEnum

from entrepot.access.rights import CATALOG, Action, Resource, ResourceKind
from entrepot.access.standing import Binding, Places, Standing


class AnonymousAccess(StrEnum):
    """What everyone may do without credentials."""

    NONE = "none"
    PULL = "pull"
    PUSH = "push"


@dataclass(frozen=True, slots=True)
class Rules:
    """What decisions rest on besides the principal itself."""

    anonymous: AnonymousAccess = AnonymousAccess.NONE


class Ground(StrEnum):
    """What a decision rests on."""

    ADMIN = "admin"
    SETTING = "setting"
    BINDING = "binding"
    NOT_APPLICABLE = "not-applicable"
    NO_BINDING = "no-binding"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and why; ``binding`` is the first that allows it."""

    is_allowed: bool
    ground: Ground
    binding: Binding | None = None


_OF_EVERYONE = {
    AnonymousAccess.NONE: frozenset[Action](),
    AnonymousAccess.PULL: frozenset({Action.PULL, Action.CATALOG}),
    AnonymousAccess.PUSH: frozenset({Action.PULL, Action.CATALOG, Action.PUSH, Action.MOVE}),
}


def decide(standing: Standing, action: Action, resource: Resource, rules: Rules, places: Places) -> Decision:
    """Whether the principal, as it stands, may do ``action`` on ``resource``.

    An administrator may do everything that there is to do. Everyone else may do what the rules give to everyone, and
    what a binding gives: of the resource's project, or inherited from one above it. Who may pull anything may ask for
    the catalog, which shows no more than that; nothing of the registry itself is given by bindings.
    """
    if action not in resource.actions:
        return Decision(is_allowed=False, ground=Ground.NOT_APPLICABLE)
    if standing.principal.is_admin:
        return Decision(is_allowed=True, ground=Ground.ADMIN)
    if action in _OF_EVERYONE[rules.anonymous] and resource.kind is not ResourceKind.PROJECT:
        return Decision(is_allowed=True, ground=Ground.SETTING)
    for binding in standing.bindings:
        if _allows(binding, action, resource, places):
            return Decision(is_allowed=True, ground=Ground.BINDING, binding=binding)
    return Decision(is_allowed=False, ground=Ground.NO_BINDING)


def inherits(standing: Standing, action: Action, project: str) -> bool:
    """Whether the principal may do ``action`` in the whole project and in every one beneath it, also later ones."""
    return standing.principal.is_admin or any(
        one.inherited and action in one.actions and one.reaches(project) and _is_whole(one, project)
        for one in standing.bindings
    )


def literals(standing: Standing, action: Action, rules: Rules) -> list[str]:
    """Beginnings of names outside which ``decide`` allows ``action`` on no repository.

    In byte order, and none is the beginning of another; the empty one stands for all names.
    """
    if standing.principal.is_admin or action in _OF_EVERYONE[rules.anonymous]:
        return [""]
    found: list[str] = []
    for literal in sorted({one.repositories.literal for one in standing.bindings if action in one.actions}):
        if not found or not literal.startswith(found[-1]):
            found.append(literal)
    return found


def _allows(binding: Binding, action: Action, resource: Resource, places: Places) -> bool:
    match resource.kind:
        case ResourceKind.REPOSITORY:
            return (
                action in binding.actions
                and binding.repositories.matches(resource.name)
                and binding.reaches(places.project_of(resource.name))
            )
        case ResourceKind.PROJECT:
            return action in binding.actions and binding.reaches(resource.name) and _is_whole(binding, resource.name)
        case ResourceKind.REGISTRY:
            return resource == CATALOG and Action.PULL in binding.actions


def _is_whole(binding: Binding, project: str) -> bool:
    """Whether the binding is for every repository of the project: who has a part of it does not administer it."""
    return binding.repositories.covers("" if project == "*" else project)
