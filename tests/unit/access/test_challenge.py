"""Challenges say what is wanted and cannot be broken out of."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.access import CATALOG, Action, ChallengeError, Scope, basic_challenge, bearer_challenge, parse_scopes

PARAMETER = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"(?:,|$)')


def parameters_of(challenge: str) -> dict[str, str]:
    """The parameters of a challenge as a client reads them."""
    _, _, rest = challenge.partition(" ")
    found: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = PARAMETER.match(rest, position)
        assert match is not None, rest[position:]
        assert match[1] not in found
        found[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
        position = match.end()
    return found


def test_a_bearer_challenge_names_everything() -> None:
    """Realm, service, all scopes in one parameter, and the error where there is one."""
    scopes = parse_scopes(["repository:a/b:pull,push repository:c:pull"])

    assert bearer_challenge("https://r.example/token", "r.example", scopes, ChallengeError.INSUFFICIENT_SCOPE) == (
        'Bearer realm="https://r.example/token",service="r.example",'
        'scope="repository:a/b:pull,push repository:c:pull",error="insufficient_scope"'
    )
    assert bearer_challenge("https://r.example/token", "r.example", (), ChallengeError.INVALID_TOKEN) == (
        'Bearer realm="https://r.example/token",service="r.example",error="invalid_token"'
    )


def test_parameters_without_a_value_are_left_out() -> None:
    """Without scopes and error there are none of those parameters."""
    assert bearer_challenge("http://r/token", "r") == 'Bearer realm="http://r/token",service="r"'


def test_the_catalog_is_asked_for_in_dockers_words() -> None:
    """The catalog's scope is the one that clients know."""
    challenge = bearer_challenge("http://r/token", "r", [Scope(CATALOG, frozenset({Action.CATALOG}))])
    assert parameters_of(challenge)["scope"] == "registry:catalog:*"


def test_a_basic_challenge_names_its_realm() -> None:
    """Basic has a realm and says that names and passwords are UTF-8 (RFC 7617 section 2.1)."""
    assert basic_challenge("entrepot") == 'Basic realm="entrepot",charset="UTF-8"'


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\n", "a\x00", "a\x7f", "caf\u00e9", "a\u2028", "a\tb"])
def test_values_that_break_headers_are_refused(value: str) -> None:
    """Line ends, other controls and what is not ASCII never reach the header."""
    with pytest.raises(ValueError, match="printable ASCII"):
        bearer_challenge(value, "service")
    with pytest.raises(ValueError, match="printable ASCII"):
        bearer_challenge("http://r/token", value)
    with pytest.raises(ValueError, match="printable ASCII"):
        basic_challenge(value)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)), st.text(alphabet='",\\=a '))
def test_no_value_becomes_another_parameter(realm: str, service: str) -> None:
    """Quotes and backslashes are escaped: a client reads exactly the values that were put in."""
    assert parameters_of(bearer_challenge(realm, service)) == {"realm": realm, "service": service}
    assert parameters_of(basic_challenge(realm)) == {"realm": realm, "charset": "UTF-8"}
