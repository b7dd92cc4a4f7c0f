"""Files of names and hashed passwords, one a line, as ``htpasswd`` writes them for web servers and registries."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from argon2.profiles import RFC_9106_LOW_MEMORY

from entrepot.access.bcrypt_hashes import bcrypt_cost
from entrepot.access.passwords import ARGON2_LANE_KIBIBYTES

HTPASSWD_BYTES_AT_MOST: Final = 4 * 1024 * 1024
HTPASSWD_USERS_AT_MOST: Final = 10_000
"""Some 100 bytes a line; larger crowds are in a directory."""

LINE_BYTES_AT_MOST: Final = 1024
ARGON2_LANES_AT_MOST: Final = 16

_ARGON2ID: Final = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[0-9]{1,7}),t=(?P<passes>[0-9]{1,4}),p=(?P<lanes>[0-9]{1,3})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<digest>[A-Za-z0-9+/]{22,86})"
)

_SCHEMES: Final = (
    (re.compile(r"\$(apr)?1\$.*"), "md5"),
    (re.compile(r"\{S?SHA\}.*"), "sha1"),
    (re.compile(r"\$[56]\$.*"), "crypt"),
    (re.compile(r"[./0-9A-Za-z]{13}"), "crypt"),
    (re.compile(r"\$argon2id?\$.*|\$argon2d\$.*"), "argon2"),
    (re.compile(r"\$2[aby]\$(1[3-9]|[2-9]\d)\$.{53}"), "bcrypt-cost"),
    (re.compile(r"\$2.*"), "bcrypt"),
)


@dataclass(frozen=True, slots=True)
class HashedUser:
    """A user with the hash of a password, and the line that has them, counted from 1."""

    line: int
    name: str
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is no user here, and why; never what stands in it behind the name.

    The reasons are ``utf-8``, ``malformed`` (no name and hash), ``long``, ``name``, ``twice``, ``number`` (more users
    than may be), and of hashes ``md5``, ``sha1``, ``crypt``, ``bcrypt`` (a broken one), ``bcrypt-cost``, ``argon2``
    (another than Argon2id, a broken one, or one that costs more than ours), ``unknown`` (it may be the password).
    """

    line: int
    name: str
    reason: str


def parse_htpasswd(content: bytes) -> tuple[list[HashedUser], list[RefusedLine]]:
    """The users in a file, and the lines that are none; empty lines and comments are neither."""
    users: dict[str, HashedUser] = {}
    refused: list[RefusedLine] = []
    for number, line in _lines(content):
        read = _read(number, line)
        if isinstance(read, HashedUser) and read.name in users:
            read = RefusedLine(number, read.name, "twice")
        elif isinstance(read, HashedUser) and len(users) >= HTPASSWD_USERS_AT_MOST:
            refused.append(RefusedLine(number, read.name, "number"))
            break
        if isinstance(read, HashedUser):
            users[read.name] = read
        else:
            refused.append(read)
    return list(users.values()), refused


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        stripped = line.strip(b" \t\r")
        if stripped and not stripped.startswith(b"#"):
            yield number, stripped


def _read(number: int, line: bytes) -> HashedUser | RefusedLine:
    if len(line) > LINE_BYTES_AT_MOST:
        return RefusedLine(number, "", "long")
    try:
        name, *rest = line.decode().split(":")
    except UnicodeDecodeError:
        return RefusedLine(number, "", "utf-8")
    if not name or not rest or not rest[0]:
        return RefusedLine(number, name if rest else "", "malformed")
    reason = _reason_against(rest[0])  # behind it there may be a comment
    return RefusedLine(number, name, reason) if reason else HashedUser(number, name, rest[0])


def _reason_against(password_hash: str) -> str | None:
    if bcrypt_cost(password_hash) is not None or _is_bearable_argon2id(password_hash):
        return None
    return next((name for pattern, name in _SCHEMES if pattern.fullmatch(password_hash)), "unknown")


def _is_bearable_argon2id(password_hash: str) -> bool:
    """Whether it is a whole hash by Argon2id that costs no more than ours, in memory and in memory times passes."""
    found = _ARGON2ID.fullmatch(password_hash)
    if found is None or not (_is_canonical(found["salt"]) and _is_canonical(found["digest"])):
        return False
    memory, passes, lanes = (int(found[name]) for name in ("memory", "passes", "lanes"))
    ours = RFC_9106_LOW_MEMORY
    return (
        ARGON2_LANE_KIBIBYTES * lanes <= memory <= ours.memory_cost
        and passes > 0
        and memory * passes <= ours.memory_cost * ours.time_cost
        and 0 < lanes <= ARGON2_LANES_AT_MOST
    )


def _is_canonical(text: str) -> bool:
    """Whether it is base64 without padding and without surplus bits, as Argon2 wants it."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return base64.b64encode(content).decode().rstrip("=") == text
