import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.access.providers.ldap_filters import check_filter, escape, filled, is_below, parsed_dn


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_nothing_of_a_value_is_grammar(value: str) -> None:
    """Only letters, digits and escapes are left, and they say what the value was."""
    escaped = escape(value)
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\[0-9a-f]{2})*", escaped)
    raw = re.sub(r"\\([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), escaped).encode("latin-1")
    assert raw.decode() == value


def test_a_value_fills_no_further_place() -> None:
    """A name that looks like a place of the template stays a name."""
    assert filled("(|(uid={username})(member={dn}))", username="{dn}", dn="{username}") == (
        r"(|(uid=\7bdn\7d)(member=\7busername\7d))"
    )


@pytest.mark.parametrize(
    "template",
    ["(uid={username})", "(&(objectClass=person)(|(uid={username})(mail={username})))", "(member:1.2.840:={username})"],
)
def test_filters(template: str) -> None:
    """What directories are asked in practice is taken."""
    check_filter(template, "{username}")


@pytest.mark.parametrize("template", ["", "(uid=*)", "uid={username}", "(uid={username}", "({username})", "(&)"])
def test_what_is_no_filter(template: str) -> None:
    """A template without the name, or that does not parse, is refused."""
    with pytest.raises(ValueError, match="wants a filter"):
        check_filter(template, "{username}")


@pytest.mark.parametrize(
    ("dn", "parts"),
    [
        ("dc=example,dc=com", [{("dc", "example")}, {("dc", "com")}]),
        ("CN = a  b , DC=com", [{("cn", "a  b")}, {("dc", "com")}]),
        (r"cn=Smith\, J\2e \+ \C3\A9,dc=x", [{("cn", "Smith, J. + é")}, {("dc", "x")}]),
        ("cn=a#b+uid=c,dc=x", [{("cn", "a#b"), ("uid", "c")}, {("dc", "x")}]),
        (r"cn=end\ ,dc=x", [{("cn", "end ")}, {("dc", "x")}]),
        ("cn=,dc=x", [{("cn", "")}, {("dc", "x")}]),
    ],
)
def test_distinguished_names(dn: str, parts: list[set[tuple[str, str]]]) -> None:
    """Types in lower case, values without their escapes (RFC 4514)."""
    assert list(parsed_dn(dn)) == parts


@pytest.mark.parametrize("dn", ["", "nonsense", "dc=x,", "=x", "dc=x,,dc=y", "dc=x+", "cn=a\\"])
def test_what_is_no_distinguished_name(dn: str) -> None:
    """Text that is no name is refused."""
    with pytest.raises(ValueError, match="wants a distinguished name"):
        parsed_dn(dn)


@pytest.mark.parametrize(
    ("dn", "below"),
    [
        ("cn=a,ou=groups,dc=x", True),
        ("cn=a,OU=Groups,DC=X", True),
        ("ou=groups,dc=x", False),
        ("cn=a,dc=x", False),
        ("cn=a+ou=groups,dc=x", False),
        (r"cn=a\,ou=groups,dc=x", False),
        ("cn=a,ou=groups,dc=x,dc=y", False),
    ],
)
def test_what_lies_below(dn: str, below: bool) -> None:
    """Only whole parts count, so that a name cannot pretend to lie elsewhere."""
    assert is_below(parsed_dn(dn), parsed_dn("ou=groups,dc=x")) is below
