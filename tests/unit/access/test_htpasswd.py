"""Password files: what is a user in them, and which line is refused why."""

from dataclasses import replace

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY
from hypothesis import given
from hypothesis import strategies as st

from entrepot.access import HTPASSWD_USERS_AT_MOST, HashedUser, RefusedLine, parse_htpasswd
from entrepot.access.htpasswd import LINE_BYTES_AT_MOST

SALT = b"the same salt for each process"  # cases are named for their hashes
BCRYPT = bcrypt.hashpw(b"secret", b"$2b$04$abcdefghijklmnopqrstuu").decode()
ARGON2ID = PasswordHasher.from_parameters(replace(CHEAPEST, hash_len=16)).hash("secret", salt=SALT)
OURS = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).hash("secret", salt=SALT)
ARGON2I = PasswordHasher.from_parameters(replace(CHEAPEST, type=Type.I)).hash("secret", salt=SALT)


def read(text: str) -> tuple[list[HashedUser], list[RefusedLine]]:
    """What is in a file."""
    return parse_htpasswd(text.encode())


@pytest.mark.parametrize(
    "made", [BCRYPT, BCRYPT.replace("$2b$", "$2y$"), BCRYPT.replace("$2b$", "$2a$"), ARGON2ID, OURS]
)
def test_what_is_taken(made: str) -> None:
    """Hashes by bcrypt and Argon2id, with comments and empty lines around them and any line break."""
    users, refused = read(f"# users\r\n\n  \nann:{made}\r\nb\u00f6b:{made}:a comment\n")

    assert users == [HashedUser(4, "ann", made), HashedUser(5, "b\u00f6b", made)]
    assert refused == []
    assert made not in repr(users)


@pytest.mark.parametrize(
    ("password_hash", "reason"),
    [
        ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "md5"),
        ("$1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "md5"),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "sha1"),
        ("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "sha1"),
        ("$5$salt$7Fp2pKcOMHL3LLCN2CJJh3sQdxHRwuXm9TS6qjJ4PD9", "crypt"),
        ("$6$salt$7Fp2pKcOMHL3LLCN2CJJh3sQdxHRwuXm9TS6qjJ4PD9", "crypt"),
        ("rl.3StKT.4T8M", "crypt"),
        (BCRYPT[:-1], "bcrypt"),
        (BCRYPT.replace("$2b$", "$2x$"), "bcrypt"),
        (BCRYPT.replace("$04$", "$03$"), "bcrypt"),
        (BCRYPT.replace("$04$", "$13$"), "bcrypt-cost"),
        (BCRYPT.replace("$04$", "$31$"), "bcrypt-cost"),
        (ARGON2I, "argon2"),
        (ARGON2I.replace("argon2i", "argon2d"), "argon2"),
        (ARGON2ID.rpartition("$")[0], "argon2"),
        (ARGON2ID.rpartition("$")[0] + "$", "argon2"),
        (ARGON2ID + "!", "argon2"),
        (ARGON2ID + "\u00e4", "argon2"),
        (ARGON2ID.replace("v=19", "v=16"), "argon2"),
        (OURS.replace("m=65536", "m=65537"), "argon2"),
        (OURS.replace("t=3", "t=4"), "argon2"),
        (OURS.replace("m=65536,t=3", "m=8192,t=25"), "argon2"),
        (OURS.replace("m=65536,t=3", "m=8192,t=0"), "argon2"),
        (OURS.replace("p=4", "p=17"), "argon2"),
        (OURS.replace("p=4", "p=0"), "argon2"),
        (OURS.replace("m=65536", "m=31"), "argon2"),
        ("a-password-as-it-is", "unknown"),
        ("{PLAIN}secret", "unknown"),
    ],
)
def test_what_is_refused(password_hash: str, reason: str) -> None:
    """Every other scheme, what is broken, and what would cost too much; nothing of it is kept but line and name."""
    users, refused = read(f"\nann:{password_hash}\nbob:{BCRYPT}\n")

    assert [user.name for user in users] == ["bob"]
    assert refused == [RefusedLine(2, "ann", reason)]


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (b"ann", RefusedLine(1, "", "malformed")),
        (b"ann:", RefusedLine(1, "ann", "malformed")),
        (b":" + BCRYPT.encode(), RefusedLine(1, "", "malformed")),
        (b"\xe4nn:" + BCRYPT.encode(), RefusedLine(1, "", "utf-8")),
        (b"ann:" + b"x" * LINE_BYTES_AT_MOST, RefusedLine(1, "", "long")),
        (b"ann:\n" + b"x" * LINE_BYTES_AT_MOST, None),
    ],
)
def test_lines_that_are_none(line: bytes, refused: RefusedLine | None) -> None:
    """A line that is no name and hash is refused; what stands in it is not told, for it may be a password."""
    users, told = parse_htpasswd(line)

    assert users == []
    assert told == ([refused] if refused else [RefusedLine(1, "ann", "malformed"), RefusedLine(2, "", "malformed")])


def test_a_name_counts_once() -> None:
    """The first line with a name is the user, as web servers have it; the second is refused."""
    users, refused = read(f"ann:{BCRYPT}\nann:{ARGON2ID}\n")

    assert users == [HashedUser(1, "ann", BCRYPT)]
    assert refused == [RefusedLine(2, "ann", "twice")]


def test_there_may_be_so_many() -> None:
    """Reading ends at the first user too many."""
    users, refused = read("".join(f"u{number}:{BCRYPT}\n" for number in range(HTPASSWD_USERS_AT_MOST + 10)))

    assert len(users) == HTPASSWD_USERS_AT_MOST
    assert refused == [RefusedLine(HTPASSWD_USERS_AT_MOST + 1, f"u{HTPASSWD_USERS_AT_MOST}", "number")]


@given(st.binary(max_size=400))
def test_any_file_is_read(content: bytes) -> None:
    """Whatever is in it, each line is a user, refused, or nothing."""
    users, refused = parse_htpasswd(content)

    numbers = [user.line for user in users] + [line.line for line in refused]
    assert len(set(numbers)) == len(numbers)
    assert len(numbers) <= content.count(b"\n") + 1
