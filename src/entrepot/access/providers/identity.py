"""Identities that others vouch for, as values within bounds."""

from dataclasses import dataclass
from typing import Final

from entrepot.access.providers.errors import IdentityRefused

ISSUER_CHARACTERS_AT_MOST: Final = 1024  # as long as URLs that are configured get
SUBJECT_CHARACTERS_AT_MOST: Final = 255  # OpenID Connect Core, section 2, "sub"
NAME_CHARACTERS_AT_MOST: Final = 255  # as for local users
GROUPS_AT_MOST: Final = 1000
GROUP_CHARACTERS_AT_MOST: Final = 255


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """Somebody as a provider knows them at this login; IdentityRefused for parts that are too much or unprintable.

    ``issuer`` and ``subject`` together name one account for ever. ``name`` is for people: it can change, and who has it
    today need not be who had it yesterday. ``groups`` are all groups of the moment, to replace those of the last login.
    """

    issuer: str
    subject: str
    name: str
    groups: frozenset[str]

    def __post_init__(self) -> None:
        if not _is_word(self.issuer, ISSUER_CHARACTERS_AT_MOST):
            raise IdentityRefused(reason="issuer", characters_at_most=ISSUER_CHARACTERS_AT_MOST)
        if not _is_word(self.subject, SUBJECT_CHARACTERS_AT_MOST):
            raise IdentityRefused(reason="subject", characters_at_most=SUBJECT_CHARACTERS_AT_MOST)
        if not _is_word(self.name, NAME_CHARACTERS_AT_MOST):
            raise IdentityRefused(reason="name", characters_at_most=NAME_CHARACTERS_AT_MOST)
        if len(self.groups) > GROUPS_AT_MOST:
            raise IdentityRefused(reason="groups", groups_at_most=GROUPS_AT_MOST)
        if not all(_is_word(group, GROUP_CHARACTERS_AT_MOST) for group in self.groups):
            raise IdentityRefused(reason="group", characters_at_most=GROUP_CHARACTERS_AT_MOST)


def _is_word(text: str, characters_at_most: int) -> bool:
    """Whether a text can be shown and compared: printable, and without spaces around it."""
    return 0 < len(text) <= characters_at_most and text.isprintable() and text == text.strip()
