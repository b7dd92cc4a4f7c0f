"""What access needs from outside: users, projects, credentials, and the time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from entrepot.access.credentials import CredentialKind
from entrepot.access.principals import Caller, Principal
from entrepot.access.standing import Places, Standing
from entrepot.secrets import Secret

Clock: TypeAlias = Callable[[], float]
"""Seconds since some epoch; the one of Unix where a token's times are meant."""


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A local user as stored; ``password_hash`` is Argon2's or bcrypt's encoded form, None without a password."""

    id: str
    name: str
    password_hash: str | None = field(repr=False)
    is_admin: bool
    disabled: bool


class Users(Protocol):
    """The local users, read afresh at each call; whatever fails there must raise, never answer None."""

    async def find_by_name(self, name: str) -> StoredUser | None:
        """The user called exactly ``name`` at this moment, disabled or not."""
        ...

    async def renew_hash(self, user: StoredUser, password_hash: str) -> None:
        """Store another hash of the same password, unless the password was changed since ``user`` was read."""
        ...


class Standings(Protocol):
    """How principals stand, read afresh at each call; whatever fails there must raise, never answer None."""

    async def find(self, principal: Principal) -> Standing | None:
        """The principal in its current state with what it is bound to; None if it is gone or disabled."""
        ...


class Projects(Protocol):
    """Which projects there are, read afresh at each call; whatever fails there must raise."""

    async def read(self) -> Places:
        """All of them."""
        ...


class Throttle(Protocol):
    """Failed logins, counted by account and address; whatever fails there must raise."""

    async def admit(self, name: str, address: str) -> bool:
        """Let a password be tried, and say whether some have gone wrong before; raises TooManyRequests."""
        ...

    async def failed(self, name: str, address: str) -> None:
        """Count a wrong password."""
        ...

    async def succeeded(self, name: str, address: str) -> None:
        """Begin to count anew."""
        ...


class Credentials(Protocol):
    """The credentials that are stored, read afresh at each call; whatever fails there must raise."""

    async def identify(self, text: Secret, *kinds: CredentialKind) -> Caller:
        """Whose credential of one of these kinds a text is; raises Unauthorized."""
        ...
