"""What a personal token is narrowed to: actions on repositories that fit a pattern."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from entrepot.access.patterns import RepositoryPattern
from entrepot.access.rights import CATALOG, Action, Resource
from entrepot.oci import RequestInvalid

LIMITS_AT_MOST: Final = 32

_ACTIONS = frozenset({Action.PULL, Action.PUSH, Action.MOVE, Action.DELETE})


@dataclass(frozen=True, slots=True)
class Limit:
    """Actions on the repositories of a pattern; what has limits is good for nothing else."""

    actions: frozenset[Action]
    repositories: RepositoryPattern

    def allows(self, action: Action, resource: Resource) -> bool:
        """Whether ``action`` on ``resource`` lies within; the catalog does for what may pull."""
        if resource == CATALOG:
            return Action.PULL in self.actions
        return resource.is_repository and action in self.actions and self.repositories.matches(resource.name)


def limit_of(words: Iterable[str], pattern: str) -> Limit:
    """The limit that these words name; raises RequestInvalid, reason ``actions``, and PatternInvalid."""
    given = frozenset(words)
    actions = frozenset(action for action in _ACTIONS if action.value in given)
    if not given or len(actions) != len(given):
        raise RequestInvalid(reason="actions", known=sorted(action.value for action in _ACTIONS))
    return Limit(actions, RepositoryPattern.parse(pattern))


def limits_to_json(limits: Iterable[Limit]) -> str:
    """As they are stored; raises RequestInvalid, reason ``limits``, for none or too many."""
    rows = [
        {"actions": sorted(action.value for action in limit.actions), "repositories": limit.repositories.text}
        for limit in limits
    ]
    if not 0 < len(rows) <= LIMITS_AT_MOST:
        raise RequestInvalid(reason="limits", at_most=LIMITS_AT_MOST)
    return json.dumps(rows, sort_keys=True)


def limits_from_json(stored: str) -> tuple[Limit, ...]:
    """The reverse of ``limits_to_json``."""
    return tuple(limit_of(row["actions"], row["repositories"]) for row in json.loads(stored))
