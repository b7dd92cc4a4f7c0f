"""Rights are those of this moment, and of the token too."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from entrepot.access import (
    ANONYMOUS,
    CATALOG,
    METRICS,
    Action,
    AnonymousAccess,
    Authorizer,
    Binding,
    Caller,
    Grant,
    Places,
    Principal,
    PrincipalKind,
    Resource,
    Standing,
    StoredUser,
    limit_of,
    parse_scopes,
    render_scopes,
)
from entrepot.oci import RepositoryName, Unavailable

REPOSITORY = Resource.repository(RepositoryName.parse("team/app"))
OTHER = Resource.repository(RepositoryName.parse("team/other"))
ROOT = StoredUser("u1", "root", "hash", is_admin=True, disabled=False)
ANN = StoredUser("u2", "ann", "hash", is_admin=False, disabled=False)


PROJECT = "p1"
PULL = Grant(REPOSITORY, Action.PULL, PROJECT)


class OneProject:
    """One project that has every repository, until it is another one; counts its reads."""

    def __init__(self) -> None:
        self.uid = PROJECT
        self.reads = 0

    async def read(self) -> Places:
        """Likewise."""
        self.reads += 1
        return Places({"*": self.uid})


class InMemoryUsers:
    """Users in a dictionary that counts its reads and can be made unreachable."""

    def __init__(self, *users: StoredUser) -> None:
        self.by_id = {user.id: user for user in users}
        self.reads = 0
        self.reachable = True
        self.bindings_of_everyone: tuple[Binding, ...] = ()
        self.expire_at: datetime | None = None

    async def find(self, principal: Principal) -> Standing | None:
        """Likewise."""
        if principal.kind is PrincipalKind.ANONYMOUS:
            return Standing(ANONYMOUS, self.bindings_of_everyone)
        user = self._read().get(principal.id)
        if user is None or user.disabled:
            return None
        return Standing(Principal(PrincipalKind.USER, user.id, user.name, user.is_admin), expires_at=self.expire_at)

    def change(self, user: StoredUser) -> None:
        """Store another state of a user."""
        self.by_id[user.id] = user

    def _read(self) -> dict[str, StoredUser]:
        self.reads += 1
        if not self.reachable:
            raise Unavailable(reason="database")
        return self.by_id


@pytest.fixture
def users() -> InMemoryUsers:
    """An administrator and a user."""
    return InMemoryUsers(ROOT, ANN)


@pytest.fixture
def authorizer(users: InMemoryUsers) -> Authorizer:
    """Without anonymous access."""
    return Authorizer(users, OneProject(), AnonymousAccess.NONE)


def principal_of(user: StoredUser) -> Principal:
    """The principal that a token for the user stands for."""
    return Principal(PrincipalKind.USER, user.id, user.name)


def with_token(user: StoredUser, *grants: Grant) -> Caller:
    """A caller with a token."""
    return Caller(principal_of(user), frozenset(grants))


async def test_rights_are_the_tokens_and_the_principals(authorizer: Authorizer) -> None:
    """An administrator's token for pulling one repository is good for that and nothing else."""
    caller = with_token(ROOT, PULL)

    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)
    assert not await authorizer.allows(caller, Action.PUSH, REPOSITORY, 1)
    assert not await authorizer.allows(caller, Action.PULL, OTHER, 1)
    assert not await authorizer.allows(caller, Action.CATALOG, CATALOG, 1)


async def test_a_token_gives_no_right_that_its_principal_lacks(authorizer: Authorizer) -> None:
    """Whatever is written into a token, a user without rights has none."""
    caller = with_token(ANN, PULL)
    assert not await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)


async def test_credentials_themselves_carry_every_right(authorizer: Authorizer) -> None:
    """With Basic the principal's rights count, whole."""
    caller = Caller(principal_of(ROOT), None)
    assert await authorizer.allows(caller, Action.DELETE, REPOSITORY, 1)


async def test_the_principal_can_be_asked_about_alone(authorizer: Authorizer) -> None:
    """A token that merely lacks an action is told apart from a principal that lacks the right."""
    weak, poor = with_token(ROOT), with_token(ANN, PULL)

    assert not await authorizer.allows(weak, Action.PULL, REPOSITORY, 1)
    assert await authorizer.principal_allows(weak.principal, Action.PULL, REPOSITORY, 1)
    assert not await authorizer.principal_allows(poor.principal, Action.PULL, REPOSITORY, 1)


async def test_what_a_principal_claims_about_itself_is_not_believed(authorizer: Authorizer) -> None:
    """Being an administrator is looked up."""
    caller = Caller(Principal(PrincipalKind.USER, ANN.id, "ann", is_admin=True), None)
    assert not await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)


async def test_anonymous_rights_need_no_user(users: InMemoryUsers) -> None:
    """Nobody's rights come from the setting, are those of users too, and cost no read."""
    authorizer = Authorizer(users, OneProject(), AnonymousAccess.PULL)
    nobody = Caller(ANONYMOUS, None)

    assert await authorizer.allows(nobody, Action.PULL, REPOSITORY, 1)
    assert not await authorizer.allows(nobody, Action.PUSH, REPOSITORY, 1)
    assert not await authorizer.allows(Caller(ANONYMOUS, frozenset()), Action.PULL, REPOSITORY, 1)
    assert users.reads == 0
    assert await authorizer.allows(Caller(principal_of(ANN), None), Action.PULL, REPOSITORY, 1)


@pytest.mark.parametrize(
    "after", [replace(ROOT, disabled=True), replace(ROOT, is_admin=False)], ids=["disabled", "demoted"]
)
async def test_rights_end_when_the_version_moves(
    users: InMemoryUsers, authorizer: Authorizer, after: StoredUser
) -> None:
    """A user who is disabled or demoted has no rights at the first request under the new version."""
    callers = [Caller(principal_of(ROOT), None), with_token(ROOT, PULL)]
    assert all([await authorizer.allows(caller, Action.PULL, REPOSITORY, 7) for caller in callers])

    users.change(after)

    assert not any([await authorizer.allows(caller, Action.PULL, REPOSITORY, 8) for caller in callers])


async def test_rights_end_when_the_user_is_removed(users: InMemoryUsers, authorizer: Authorizer) -> None:
    """A removed user has none, and a new one of the same name does not inherit the tokens."""
    caller = with_token(ROOT, PULL)
    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)

    del users.by_id[ROOT.id]
    users.change(replace(ROOT, id="u9"))

    assert not await authorizer.allows(caller, Action.PULL, REPOSITORY, 2)


async def test_rights_begin_when_the_version_moves(users: InMemoryUsers, authorizer: Authorizer) -> None:
    """A user who becomes an administrator has the rights at once, with the token of before."""
    caller = with_token(ANN, PULL)
    assert not await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)

    users.change(replace(ANN, is_admin=True))

    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 2)


async def test_a_disabled_user_has_not_even_what_everyone_has(users: InMemoryUsers) -> None:
    """Whoever was shut out does not come in as nobody with an old token."""
    users.change(replace(ANN, disabled=True))
    authorizer = Authorizer(users, OneProject(), AnonymousAccess.PUSH)
    assert not await authorizer.allows(Caller(principal_of(ANN), None), Action.PULL, REPOSITORY, 1)


async def test_a_state_is_read_once_per_version(users: InMemoryUsers, authorizer: Authorizer) -> None:
    """Pulls under one version read the user once, also one that does not exist; another version reads again."""
    ghost = Caller(Principal(PrincipalKind.USER, "u404", "ghost"), None)
    for version, reads in ((1, 2), (1, 2), (2, 4), (1, 6)):
        for _ in range(3):
            assert await authorizer.allows(Caller(principal_of(ROOT), None), Action.PULL, REPOSITORY, version)
            assert not await authorizer.allows(ghost, Action.PULL, REPOSITORY, version)
        assert users.reads == reads


async def test_a_token_without_the_action_costs_no_read(users: InMemoryUsers, authorizer: Authorizer) -> None:
    """What the token does not carry is refused before anything is asked."""
    assert not await authorizer.allows(with_token(ROOT), Action.PULL, REPOSITORY, 1)
    assert users.reads == 0


async def test_what_is_remembered_is_bounded(users: InMemoryUsers) -> None:
    """A process remembers so many principals, and reads the others again."""
    authorizer = Authorizer(users, OneProject(), AnonymousAccess.NONE, principals_at_most=3)
    for number in range(50):
        ghost = Principal(PrincipalKind.USER, f"ghost{number}", "ghost")
        assert not await authorizer.principal_allows(ghost, Action.PULL, REPOSITORY, 1)

    assert len(authorizer._known) == 3


async def test_errors_deny(users: InMemoryUsers, authorizer: Authorizer) -> None:
    """When users cannot be read nobody is let in, and the failure is not remembered as an answer."""
    users.reachable = False
    caller = Caller(principal_of(ROOT), None)
    with pytest.raises(Unavailable):
        await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)
    with pytest.raises(Unavailable):
        await authorizer.granted(caller, parse_scopes(["repository:a:pull"]))

    users.reachable = True
    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)


async def test_granted_is_what_is_asked_and_allowed(users: InMemoryUsers) -> None:
    """A token carries the allowed part of what is asked for, in that order, and nothing that was not asked for."""
    authorizer = Authorizer(users, OneProject(), AnonymousAccess.PULL)
    asked = parse_scopes(["repository:b:delete,push,pull repository:a:push registry:catalog:* registry:metrics:*"])

    everything = await authorizer.granted(Caller(principal_of(ROOT), None), asked)
    little = await authorizer.granted(Caller(ANONYMOUS, None), asked)

    assert render_scopes(everything) == render_scopes(asked)
    assert [scope.project for scope in everything] == [PROJECT, PROJECT, "", ""]
    assert render_scopes(little) == "repository:b:pull registry:catalog:*"
    assert await authorizer.granted(Caller(principal_of(ANN), None), asked) == little
    assert await authorizer.granted(Caller(principal_of(ROOT), None), ()) == ()


async def test_granted_reads_the_state_of_this_moment(users: InMemoryUsers, authorizer: Authorizer) -> None:
    """No token for somebody who was disabled a moment ago, whatever version is remembered."""
    asked = parse_scopes(["repository:a:pull"])
    assert await authorizer.principal_allows(principal_of(ROOT), Action.PULL, REPOSITORY, 1)

    users.change(replace(ROOT, disabled=True))

    assert await authorizer.granted(Caller(principal_of(ROOT), None), asked) == ()
    assert await authorizer.granted(Caller(replace(principal_of(ROOT), is_admin=True), None), asked) == ()


async def test_a_token_is_good_for_the_project_it_was_granted_in(users: InMemoryUsers) -> None:
    """When a repository belongs to another project, or to one that was made anew, older tokens carry nothing there."""
    projects = OneProject()
    authorizer = Authorizer(users, projects, AnonymousAccess.NONE)
    caller = with_token(ROOT, PULL)
    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)
    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)
    assert projects.reads == 1

    projects.uid = "p2"

    assert not await authorizer.allows(caller, Action.PULL, REPOSITORY, 2)
    assert await authorizer.principal_allows(caller.principal, Action.PULL, REPOSITORY, 2)


async def test_a_token_without_its_project_carries_nothing(authorizer: Authorizer) -> None:
    """A grant that names no project is good for no repository."""
    assert not await authorizer.allows(with_token(ROOT, Grant(REPOSITORY, Action.PULL)), Action.PULL, REPOSITORY, 1)


async def test_a_robot_that_is_over_has_no_rights(users: InMemoryUsers) -> None:
    """Its time ends without a change of the version: the clock is asked each time."""
    now = 1000.0
    users.expire_at = datetime.fromtimestamp(1500, UTC)
    authorizer = Authorizer(users, OneProject(), AnonymousAccess.PULL, clock=lambda: now)
    caller = Caller(principal_of(ROOT), None)
    assert await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)

    now = 1500.0

    assert not await authorizer.allows(caller, Action.PULL, REPOSITORY, 1)
    assert await authorizer.granted(caller, parse_scopes(["repository:a:pull"])) == ()


async def test_a_narrowed_credential_carries_no_more(authorizer: Authorizer) -> None:
    """An administrator's token for pulling in one place does that and nothing else, and makes no wider tokens."""
    narrow = Caller(principal_of(ROOT), None, "c1", limits=(limit_of(["pull"], "team/app"),))

    assert await authorizer.allows(narrow, Action.PULL, REPOSITORY, 1)
    assert not await authorizer.allows(narrow, Action.PUSH, REPOSITORY, 1)
    assert not await authorizer.allows(narrow, Action.PULL, OTHER, 1)
    assert not await authorizer.allows(narrow, Action.METRICS, METRICS, 1)
    assert not await authorizer.allows(narrow, Action.PROJECT, Resource.project("team/"), 1)
    granted = await authorizer.granted(
        narrow, parse_scopes(["repository:team/app:pull,push repository:team/other:pull"])
    )
    assert render_scopes(granted) == "repository:team/app:pull"


async def test_who_asks_to_push_asks_to_move_tags(authorizer: Authorizer) -> None:
    """Clients know no scope for moving tags: the one for pushing carries it where the right is there."""
    full = await authorizer.granted(Caller(principal_of(ROOT), None), parse_scopes(["repository:team/app:push"]))
    assert render_scopes(full) == "repository:team/app:push"
    assert Action.MOVE in full[0].actions
    limits = (limit_of(["push"], "**"),)
    less = await authorizer.granted(
        Caller(principal_of(ROOT), None, limits=limits), parse_scopes(["repository:a:push"])
    )
    assert less[0].actions == {Action.PUSH}
