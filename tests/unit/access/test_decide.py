"""The decision, as a whole table."""

import itertools

import pytest

from entrepot.access import (
    ANONYMOUS,
    CATALOG,
    METRICS,
    Action,
    AnonymousAccess,
    Principal,
    PrincipalKind,
    Resource,
    ResourceKind,
    Rules,
    decide,
)
from entrepot.oci import RepositoryName

REPOSITORY = Resource.repository(RepositoryName.parse("team/app"))
USER = Principal(PrincipalKind.USER, "u1", "ann")
ADMIN = Principal(PrincipalKind.USER, "u2", "admin", is_admin=True)

APPLICABLE = {
    (Action.PULL, REPOSITORY),
    (Action.PUSH, REPOSITORY),
    (Action.DELETE, REPOSITORY),
    (Action.CATALOG, CATALOG),
    (Action.METRICS, METRICS),
}
FOR_EVERYONE = {
    AnonymousAccess.NONE: set[Action](),
    AnonymousAccess.PULL: {Action.PULL, Action.CATALOG},
    AnonymousAccess.PUSH: {Action.PULL, Action.CATALOG, Action.PUSH},
}


@pytest.mark.parametrize(
    ("anonymous", "action", "resource"),
    list(itertools.product(AnonymousAccess, Action, [REPOSITORY, CATALOG, METRICS])),
)
def test_every_cell(anonymous: AnonymousAccess, action: Action, resource: Resource) -> None:
    """Administrators do what there is to do; everyone else exactly what is given to everyone."""
    rules = Rules(anonymous)
    applicable = (action, resource) in APPLICABLE

    assert decide(ADMIN, action, resource, rules) is applicable
    for principal in (ANONYMOUS, USER):
        assert decide(principal, action, resource, rules) is (applicable and action in FOR_EVERYONE[anonymous])


def test_denied_by_default() -> None:
    """Without a word about anonymous access nobody but an administrator may do anything."""
    assert not any(decide(p, action, resource, Rules()) for p in (ANONYMOUS, USER) for action, resource in APPLICABLE)


@pytest.mark.parametrize("action", Action)
def test_nothing_is_allowed_on_a_part_that_does_not_exist(action: Action) -> None:
    """Even an administrator has no rights on an unknown part of the registry."""
    unknown = Resource(ResourceKind.REGISTRY, "settings")
    assert not decide(ADMIN, action, unknown, Rules(AnonymousAccess.PUSH))
