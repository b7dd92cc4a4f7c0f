"""The decision: a whole table of roles, and what holds whatever the bindings are."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.access import (
    ADMINISTRATION,
    ANONYMOUS,
    BUILT_IN_ROLES,
    CATALOG,
    METRICS,
    Action,
    AnonymousAccess,
    Binding,
    Ground,
    Places,
    Principal,
    PrincipalKind,
    RepositoryPattern,
    Resource,
    ResourceKind,
    Rules,
    Standing,
    decide,
    literals,
)
from entrepot.oci import RepositoryName

REPOSITORY = Resource.repository(RepositoryName.parse("team/app"))
PROJECT = Resource.project("team/")
USER = Principal(PrincipalKind.USER, "u1", "ann")
ADMIN = Principal(PrincipalKind.USER, "u2", "admin", is_admin=True)
PLACES = Places({"*": "p1", "team/": "p2", "team/deep/": "p3", "other/": "p4"})

OF_REPOSITORIES = set(Action) - {Action.CATALOG, Action.METRICS, Action.ADMINISTER}
APPLICABLE = {
    REPOSITORY: OF_REPOSITORIES,
    PROJECT: OF_REPOSITORIES,
    ADMINISTRATION: {Action.ADMINISTER},
    CATALOG: {Action.CATALOG},
    METRICS: {Action.METRICS},
}
FOR_EVERYONE = {
    AnonymousAccess.NONE: set[Action](),
    AnonymousAccess.PULL: {Action.PULL, Action.CATALOG},
    AnonymousAccess.PUSH: {Action.PULL, Action.CATALOG, Action.PUSH, Action.MOVE},
}
ROLES = {
    "reader": {Action.PULL},
    "pusher": {Action.PULL, Action.PUSH},
    "writer": {Action.PULL, Action.PUSH, Action.MOVE},
    "maintainer": {Action.PULL, Action.PUSH, Action.MOVE, Action.DELETE, Action.ROBOTS, Action.RETENTION},
    "owner": OF_REPOSITORIES,
}


def binding(role: str, repositories: str = "**", project: str = "team/", *, inherited: bool = False) -> Binding:
    """A binding of one of the built-in roles."""
    pattern = RepositoryPattern.parse(repositories)
    return Binding("b1", "account ann", project, role, BUILT_IN_ROLES[role], pattern, inherited)


def allowed(action: Action, resource: Resource, *bindings: Binding) -> bool:
    """Whether a user with these bindings may."""
    return decide(Standing(USER, bindings), action, resource, Rules(), PLACES).is_allowed


def pulls(name: str, *bindings: Binding) -> bool:
    """Whether they may pull the repository."""
    return allowed(Action.PULL, Resource.repository(RepositoryName.parse(name)), *bindings)


@pytest.mark.parametrize(
    ("anonymous", "action", "resource"),
    list(itertools.product(AnonymousAccess, Action, APPLICABLE)),
)
def test_without_bindings(anonymous: AnonymousAccess, action: Action, resource: Resource) -> None:
    """Administrators do what there is to do; everyone else exactly what is given to everyone."""
    rules = Rules(anonymous)
    applicable = action in APPLICABLE[resource]

    assert decide(Standing(ADMIN), action, resource, rules, PLACES).is_allowed is applicable
    for principal in (ANONYMOUS, USER):
        decision = decide(Standing(principal), action, resource, rules, PLACES)
        assert decision.is_allowed is (applicable and resource != PROJECT and action in FOR_EVERYONE[anonymous])


@pytest.mark.parametrize(("role", "action"), list(itertools.product(ROLES, Action)))
def test_every_role(role: str, action: Action) -> None:
    """Each built-in role gives exactly its actions, on its repositories and projects and nowhere else."""
    bound = binding(role)
    assert allowed(action, REPOSITORY, bound) is (action in ROLES[role])
    assert allowed(action, PROJECT, bound) is (action in ROLES[role])
    assert not allowed(action, Resource.repository(RepositoryName("other/app")), bound)
    assert not allowed(action, Resource.project("other/"), bound)
    assert allowed(action, CATALOG, bound) is (action is Action.CATALOG)
    assert not allowed(action, METRICS, bound)


def test_parents_bindings_count_where_they_are_inherited() -> None:
    """A binding counts in its own project; beneath it only when it is marked."""
    assert pulls("team/app", binding("reader"))
    assert not pulls("team/deep/app", binding("reader"))
    assert pulls("team/deep/app", binding("reader", inherited=True))
    assert not pulls("other/app", binding("reader", inherited=True))


def test_the_project_of_all_the_others() -> None:
    """``*`` has what no other project has, and is above all of them."""
    assert pulls("lonely", binding("reader", project="*"))
    assert pulls("not/a/project", binding("reader", project="*"))
    assert not pulls("team/app", binding("reader", project="*"))
    assert pulls("team/app", binding("reader", project="*", inherited=True))
    assert pulls("team", binding("reader", project="*"))


def test_who_has_a_part_of_a_project_does_not_administer_it() -> None:
    """An owner of some repositories says nothing about the project's robots."""
    part = binding("owner", "team/app/**")
    assert allowed(Action.PROJECT, Resource.repository(RepositoryName("team/app/x")), part)
    assert not allowed(Action.ROBOTS, PROJECT, part)
    assert allowed(Action.ROBOTS, PROJECT, binding("owner", "team/**"))
    assert not allowed(Action.ROBOTS, Resource.project("team/deep/"), binding("owner", "team/**"))


def test_a_decision_says_what_it_rests_on() -> None:
    """The first binding that allows it, the setting, being an administrator, or nothing."""
    bound = binding("reader")
    for standing, rules, ground in (
        (Standing(ADMIN), Rules(), Ground.ADMIN),
        (Standing(USER), Rules(AnonymousAccess.PULL), Ground.SETTING),
        (Standing(USER, (binding("reader", "no"), bound)), Rules(), Ground.BINDING),
        (Standing(USER), Rules(), Ground.NO_BINDING),
    ):
        decision = decide(standing, Action.PULL, REPOSITORY, rules, PLACES)
        assert decision.ground is ground
        assert decision.binding == (bound if ground is Ground.BINDING else None)


@pytest.mark.parametrize("action", Action)
def test_nothing_is_allowed_on_a_part_that_does_not_exist(action: Action) -> None:
    """Even an administrator has no rights on an unknown part of the registry."""
    unknown = Resource(ResourceKind.REGISTRY, "settings")
    assert not decide(Standing(ADMIN), action, unknown, Rules(AnonymousAccess.PUSH), PLACES).is_allowed


def test_where_to_look() -> None:
    """The shortest beginnings of the patterns that give the right; everything for who may everything."""
    some = (
        binding("reader", "team/app/**"),
        binding("owner", "team/**"),
        binding("reader", "b*"),
        binding("reader", "z"),
    )
    assert literals(Standing(USER, some), Action.PULL, Rules()) == ["b", "team/", "z"]
    assert literals(Standing(USER, some), Action.DELETE, Rules()) == ["team/"]
    assert literals(Standing(USER, (*some, binding("reader", "**/x"))), Action.PULL, Rules()) == [""]
    assert literals(Standing(USER), Action.PULL, Rules()) == []
    assert literals(Standing(USER), Action.PULL, Rules(AnonymousAccess.PULL)) == [""]
    assert literals(Standing(ADMIN), Action.PULL, Rules()) == [""]


BINDINGS = st.builds(
    binding,
    st.sampled_from(sorted(ROLES)),
    st.sampled_from(["**", "team/**", "team/app", "te*/app", "team/*", "**/app", "other/**"]),
    st.sampled_from(["*", "team/", "team/deep/", "other/"]),
    inherited=st.booleans(),
)
NAMES = st.sampled_from(["team/app", "team/deep/app", "team", "other/app", "lonely", "team/app/x"])


@given(st.lists(BINDINGS, max_size=5), BINDINGS, NAMES, st.sampled_from(sorted(OF_REPOSITORIES)))
def test_a_further_binding_takes_no_right_away(some: list[Binding], more: Binding, name: str, action: Action) -> None:
    """Rights are the union of what the bindings give."""
    resource = Resource.repository(RepositoryName(name))
    together = allowed(action, resource, *some, more)
    assert together is (allowed(action, resource, *some) or allowed(action, resource, more))
