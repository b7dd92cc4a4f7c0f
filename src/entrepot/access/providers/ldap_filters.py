"""Texts that go into LDAP filters and out of distinguished names (RFC 4515, RFC 4514)."""

import re
import string
from typing import Final, TypeAlias

from ldap3.core.exceptions import LDAPException
from ldap3.operation.search import parse_filter

USERNAME: Final = "{username}"
DN: Final = "{dn}"

Name: TypeAlias = tuple[frozenset[tuple[str, str]], ...]
"""A distinguished name: for each of its parts the pairs of type and value, of which there is mostly one."""

# A type, a value in which a backslash takes the next character along, and what follows it.
_PAIR = re.compile(r" *([A-Za-z0-9.-]+) *= *((?:[^\\,+ ]|\\.| +(?![ ,+]|\Z))*) *([,+]|\Z)", re.DOTALL)
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_HEX = frozenset(string.hexdigits)
_HEX_DIGITS = 2


def escape(value: str) -> str:
    """A value for a filter in which nothing but letters and digits stands for itself (RFC 4515 section 3)."""
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02x}" for byte in value.encode())


def filled(template: str, *, username: str, dn: str = "") -> str:
    """A filter with the values in the places that its template names."""
    parts = template.split(USERNAME)
    return escape(username).join(part.replace(DN, escape(dn)) for part in parts)


def check_filter(template: str, *places: str) -> None:
    """Raise ValueError for a template that is no filter or names none of ``places``."""
    if not any(place in template for place in places):
        message = f"wants a filter with {' or '.join(places)} in it"
        raise ValueError(message)
    try:
        parse_filter(filled(template, username="name", dn="cn=name"), None, False, False, None, False)  # ruff: ignore[boolean-positional-value-in-call]
    except LDAPException:
        message = "wants a filter as in RFC 4515, such as (uid={username})"
        raise ValueError(message) from None


def parsed_dn(dn: str) -> Name:
    """The parts of a name, the nearest first, types in lower case and values unescaped; raises ValueError."""
    parts: list[frozenset[tuple[str, str]]] = []
    pairs: list[tuple[str, str]] = []
    position, separator = 0, ","
    while separator:
        found = _PAIR.match(dn, position)
        if found is None:
            message = "wants a distinguished name such as dc=example,dc=com"
            raise ValueError(message)
        position, separator = found.end(), found[3]
        pairs.append((found[1].lower(), _unescaped(found[2])))
        if separator != "+":
            parts.append(frozenset(pairs))
            pairs = []
    return tuple(parts)


def is_below(dn: Name, base: Name) -> bool:
    """Whether a name lies under another; values compare without case."""
    inner, outer = (
        [frozenset((kind, value.casefold()) for kind, value in part) for part in name] for name in (dn, base)
    )
    return len(inner) > len(outer) and inner[len(inner) - len(outer) :] == outer


def _unescaped(value: str) -> str:
    r"""The value that a name writes with ``\,`` and ``\2c`` (RFC 4514 section 2.4)."""
    raw = bytearray()
    position = 0
    while position < len(value):
        pair = value[position + 1 : position + 1 + _HEX_DIGITS]
        if value[position] != "\\":
            raw += value[position].encode()
            position += 1
        elif len(pair) == _HEX_DIGITS and _HEX.issuperset(pair):
            raw.append(int(pair, 16))
            position += 1 + _HEX_DIGITS
        else:
            raw += pair[:1].encode()
            position += 2
    return raw.decode()
