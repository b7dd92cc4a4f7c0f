"""Token scopes: the grammar, its caps, and what is left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.access import CATALOG, METRICS, Action, Grant, Resource, Scope, parse_scopes, render_scopes
from entrepot.access.scopes import SCOPE_CHARACTERS_AT_MOST, SCOPES_AT_MOST
from entrepot.oci import RepositoryName, RequestInvalid

COMPONENTS = st.from_regex(r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
NAMES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
REPOSITORY_ACTIONS = st.frozensets(st.sampled_from([Action.PULL, Action.PUSH, Action.DELETE]), min_size=1).map(
    lambda actions: actions | {Action.MOVE} if Action.PUSH in actions else actions
)
"""What a client can ask for: who asks to push asks to move tags, too."""

EVERYTHING = frozenset({Action.PULL, Action.PUSH, Action.MOVE, Action.DELETE})
REPOSITORY_SCOPES = st.builds(
    lambda name, actions: Scope(Resource.repository(RepositoryName.parse(name)), actions), NAMES, REPOSITORY_ACTIONS
)
SCOPES = st.lists(
    st.one_of(
        REPOSITORY_SCOPES,
        st.just(Scope(CATALOG, frozenset({Action.CATALOG}))),
        st.just(Scope(METRICS, frozenset({Action.METRICS}))),
    ),
    max_size=20,
    unique_by=lambda scope: scope.resource,
)


def repository(name: str) -> Resource:
    """The repository resource of that name."""
    return Resource.repository(RepositoryName.parse(name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repository:a/b:pull,push", Scope(repository("a/b"), frozenset({Action.PULL, Action.PUSH, Action.MOVE}))),
        ("repository:a/b:pull,pull", Scope(repository("a/b"), frozenset({Action.PULL}))),
        ("repository(plugin):a/b:pull", Scope(repository("a/b"), frozenset({Action.PULL}))),
        ("repository:a:*", Scope(repository("a"), EVERYTHING)),
        ("repository:a:pull,*", Scope(repository("a"), EVERYTHING)),
        ("repository:example.com/a:pull", Scope(repository("example.com/a"), frozenset({Action.PULL}))),
        ("repository:a:pull,fly", Scope(repository("a"), frozenset({Action.PULL}))),
        ("registry:catalog:*", Scope(CATALOG, frozenset({Action.CATALOG}))),
        ("registry:metrics:*", Scope(METRICS, frozenset({Action.METRICS}))),
    ],
)
def test_known_scopes_are_read(text: str, expected: Scope) -> None:
    """Each form that clients send is read, and actions that nobody knows fall away."""
    assert parse_scopes([text]) == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "repository:a:fly",
        "repository:a:",
        "repository:a:,",
        "repository:a:catalog",
        "repository:a:metrics",
        "registry:catalog:pull",
        "registry:catalog:catalog",
        "registry:settings:*",
        "aws:Foo/BAR:*",
        "repository:localhost:5000/a/b:pull",
        "repository:Registry.Example.COM:443/a:pull",
    ],
)
def test_unknown_scopes_are_left_out(text: str) -> None:
    """What this registry does not have is no error and grants nothing; neither does another host's repository."""
    assert parse_scopes([text]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "repository",
        "repository:a",
        "repository::pull",
        "::",
        ":a:pull",
        "Repository:a:pull",
        "repository(:a:pull",
        "repository():a:pull",
        "repository(PLUGIN):a:pull",
        "repository(plugin:a:pull",
        "repository:a:PULL",
        "repository:a:pull;push",
        "repository:a:pu*ll",
        "repository:a:**",
        "repository:A:pull",
        "repository:a/:pull",
        "repository:/a:pull",
        "repository:a//b:pull",
        "repository:../a:pull",
        "repository:a/../b:pull",
        "repository:a%2fb:pull",
        "repository:a\x00:pull",
        "repository:a\n:pull",
        "repository:a\tb:pull",
        "repository:a:pull\n",
        "repository:\u0661:pull",
        "repository:host:99999999/a:pull",
        "repository:host:/a:pull",
        "repository:a:b:pull",
        "repository:" + "a" * 256 + ":pull",
        'repository:a":pull',
    ],
)
def test_malformed_scopes_are_refused(text: str) -> None:
    """Anything outside the grammar is an error that shows a bounded part of it, also behind a good scope."""
    for texts in ([text], ["repository:good:pull", text], [f"repository:good:pull {text}"]):
        with pytest.raises(RequestInvalid) as refusal:
            parse_scopes(texts)
        assert refusal.value.detail["reason"] == "scope"
        assert len(str(refusal.value.detail["scope"])) <= 160


def test_scopes_may_be_repeated_or_separated_by_spaces() -> None:
    """Both ways of asking for several are one, in the order of first mention, and the same resource is merged."""
    one = parse_scopes(["repository:b:pull repository:a:pull  repository:b:push"])
    other = parse_scopes(["repository:b:pull", "repository:a:pull", "repository:b:push"])

    assert one == other
    assert render_scopes(one) == "repository:b:pull,push repository:a:pull"


def test_too_many_scopes_are_refused() -> None:
    """The cap counts every scope that is written, known or not, over all parameters."""
    most = ["aws:x:*"] * SCOPES_AT_MOST

    assert parse_scopes(most) == ()
    for texts in ([*most, "aws:x:*"], [" ".join([*most, "aws:x:*"])]):
        with pytest.raises(RequestInvalid) as refusal:
            parse_scopes(texts)
        assert refusal.value.detail == {"reason": "too-many-scopes", "at_most": SCOPES_AT_MOST}


def test_too_long_scopes_are_refused() -> None:
    """The cap on characters is over all parameters together, before anything is read."""
    half = "x" * (SCOPE_CHARACTERS_AT_MOST // 2) + ":y:*"
    with pytest.raises(RequestInvalid) as refusal:
        parse_scopes([half, half])
    assert refusal.value.detail == {"reason": "scope-too-long", "at_most": SCOPE_CHARACTERS_AT_MOST}


@settings(deadline=None)
@given(SCOPES)
def test_written_scopes_are_read_back(scopes: list[Scope]) -> None:
    """Rendering and parsing are each other's reverse."""
    assert list(parse_scopes([render_scopes(scopes)])) == scopes
    assert list(parse_scopes(map(str, scopes))) == scopes


@settings(deadline=None)
@given(st.lists(st.text(), max_size=4))
def test_any_text_is_read_or_refused(texts: list[str]) -> None:
    """No text does anything but be refused, or give scopes with known actions of known resources."""
    try:
        scopes = parse_scopes(texts)
    except RequestInvalid:
        return
    for scope in scopes:
        assert scope.actions
        assert scope.actions <= scope.resource.actions


@settings(deadline=None)
@given(st.text(alphabet="repository(plugin):a/b,*. -_:5", max_size=60))
def test_texts_like_scopes_are_read_the_same_when_written_back(text: str) -> None:
    """Whatever is accepted near the grammar means the same after it is written by this registry."""
    try:
        scopes = parse_scopes([text])
    except RequestInvalid:
        return
    assert parse_scopes([render_scopes(scopes)]) == scopes


def test_grants_are_the_actions_one_by_one() -> None:
    """A scope of two actions is two grants on the resource."""
    scope = Scope(repository("a"), frozenset({Action.PULL, Action.PUSH}))
    assert scope.grants == {Grant(repository("a"), Action.PULL), Grant(repository("a"), Action.PUSH)}
