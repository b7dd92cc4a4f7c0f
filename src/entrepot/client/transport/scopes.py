"""What a token has to allow (Docker's token specification, "Token Authentication Scope")."""

from collections.abc import Iterable
from dataclasses import dataclass

_SCOPES_READ = 16  # of a challenge; more is nothing that a registry has a use for
_CHARACTERS_AT_MOST = 400


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Actions on a resource: ``repository:team/app:pull,push``."""

    kind: str
    name: str
    actions: frozenset[str]

    @classmethod
    def repository(cls, name: str, *actions: str) -> "Scope":
        """Actions on a repository: ``pull``, ``push``, ``delete``."""
        return cls("repository", name, frozenset(actions))

    @classmethod
    def catalog(cls) -> "Scope":
        """The list of all repositories."""
        return cls("registry", "catalog", frozenset({"*"}))

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


def joined(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """The union, each resource once."""
    actions: dict[tuple[str, str], frozenset[str]] = {}
    for scope in scopes:
        key = (scope.kind, scope.name)
        actions[key] = actions.get(key, frozenset()) | scope.actions
    return frozenset(Scope(kind, name, found) for (kind, name), found in actions.items())


def covers(granted: frozenset[Scope], wanted: frozenset[Scope]) -> bool:
    """Whether everything that is wanted was asked for already."""
    actions = {(scope.kind, scope.name): scope.actions for scope in granted}
    return all(scope.actions <= actions.get((scope.kind, scope.name), frozenset()) for scope in wanted)


def parse_scopes(text: str) -> frozenset[Scope]:
    """The scopes of a challenge; what is none is left out."""
    found: list[Scope] = []
    for word in text.split()[:_SCOPES_READ]:
        kind, _, rest = word.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind and name and actions and len(word) <= _CHARACTERS_AT_MOST:
            found.append(Scope(kind, name, frozenset(actions.split(","))))
    return joined(found)
