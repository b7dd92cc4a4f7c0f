"""Roles: names for sets of actions on repositories and projects."""

from collections.abc import Mapping
from typing import Final

from entrepot.access.rights import Action

READER: Final = frozenset({Action.PULL})
PUSHER: Final = READER | {Action.PUSH}
WRITER: Final = PUSHER | {Action.MOVE}
MAINTAINER: Final = WRITER | {Action.DELETE, Action.ROBOTS, Action.RETENTION}
OWNER: Final = MAINTAINER | {Action.PROJECT}

BUILT_IN_ROLES: Final[Mapping[str, frozenset[Action]]] = {
    "reader": READER,
    "pusher": PUSHER,
    "writer": WRITER,
    "maintainer": MAINTAINER,
    "owner": OWNER,
}
"""Each with the rights of those before it. A reader pulls; a pusher makes tags and a writer also moves them; a
maintainer deletes, and looks after retention and the robots of a project; an owner says who else may do what."""


def actions_of(words: list[str]) -> frozenset[Action]:
    """The actions that these words name; what this version does not know gives nothing."""
    return frozenset(action for action in OWNER if action.value in words)
