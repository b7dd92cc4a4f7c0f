"""bcrypt's hashes, as other registries' and web servers' password files have them; none are made here."""

import re
from typing import Final

import bcrypt

BCRYPT_COST_AT_MOST: Final = 12
"""A quarter of a second of one core; each step more doubles it, and every wrong password makes the registry pay it."""

BCRYPT_PASSWORD_BYTES: Final = 72
"""What comes after them is no part of the hash: the programs that made it cut it off, so it is cut off here."""

_COST_AT_LEAST = 4  # bcrypt's own bound

_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


def bcrypt_cost(stored: str) -> int | None:
    """The cost of a hash by bcrypt, as a power of two; None for everything else, also for one that costs too much."""
    found = _HASH.fullmatch(stored)
    cost = 0 if found is None else int(found[1])
    return cost if _COST_AT_LEAST <= cost <= BCRYPT_COST_AT_MOST else None


def bcrypt_matches(stored: str, password: bytes) -> bool:
    """Whether a hash for which ``bcrypt_cost`` has a cost is that of the password; it leaves the interpreter's lock."""
    return bcrypt.checkpw(password[:BCRYPT_PASSWORD_BYTES], stored.encode("ascii"))


def spend_bcrypt(password: bytes, cost: int) -> None:
    """Compute what a comparison of that cost computes, for nothing but the time that it takes."""
    bcrypt.hashpw(password[:BCRYPT_PASSWORD_BYTES], bcrypt.gensalt(cost))
