"""``WWW-Authenticate`` as servers send it, rightly and wrongly."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.transport.challenges import Challenge, parse_challenges

TOKENS = st.text(st.sampled_from(string.ascii_letters + string.digits + "-._"), min_size=1, max_size=12)
VALUES = st.text(st.sampled_from(string.ascii_letters + string.digits + ' ,=:/"\\{}[]'), max_size=20)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (["Basic"], [("basic", {})]),
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (
            ['Bearer realm="https://auth/token",service="reg",scope="repository:a:pull"'],
            [("bearer", {"realm": "https://auth/token", "service": "reg", "scope": "repository:a:pull"})],
        ),
        (['Basic realm="x", Bearer realm="y"'], [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        (['Bearer realm="y"', "Basic"], [("bearer", {"realm": "y"}), ("basic", {})]),
        (["Negotiate, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["BEARER Realm=y"], [("bearer", {"realm": "y"})]),
        (["realm=x"], []),
        ([""], []),
        (['Bearer realm="a\\"b"'], [("bearer", {"realm": 'a"b'})]),
    ],
)
def test_what_is_offered(fields: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    """Several in one field or in several, with quoted values or plain ones."""
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges(fields)] == found


@given(st.lists(st.tuples(TOKENS, st.dictionaries(TOKENS.map(str.lower), VALUES, min_size=1, max_size=3)), max_size=3))
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]]) -> None:
    """Quoting hides whatever a value has."""

    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    fields = [
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    ]
    expected = [Challenge(scheme.lower(), parameters) for scheme, parameters in challenges]
    assert parse_challenges(fields) == expected
    assert parse_challenges([", ".join(fields)]) == expected


@given(st.lists(st.text(max_size=200), max_size=3))
def test_anything_else_is_no_failure(fields: list[str]) -> None:
    """Whatever a server sends is read as far as it can be."""
    parse_challenges(fields)
