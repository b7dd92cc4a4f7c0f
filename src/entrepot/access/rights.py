"""What can be asked for: actions, the resources they apply to, and grants of one on the other."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from entrepot.oci import RepositoryName


class Action(StrEnum):
    """One kind of use of a resource; the values are those of Docker's token scopes where it has one.

    To push is to add content and make tags; to let a tag that is there point elsewhere is to move it.
    """

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    MOVE = "move"
    ROBOTS = "robots"
    RETENTION = "retention"
    PROJECT = "project"
    CATALOG = "catalog"
    METRICS = "metrics"
    ADMINISTER = "administer"


class ResourceKind(StrEnum):
    """The resource types of Docker's token scopes that this registry knows, and projects, which no token is for."""

    REPOSITORY = "repository"
    REGISTRY = "registry"
    PROJECT = "project"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """Something that rights apply to: a repository by its name, or a part of the registry itself."""

    kind: ResourceKind
    name: str

    @classmethod
    def repository(cls, name: RepositoryName) -> Self:
        """The repository called ``name``, whether or not it exists."""
        return cls(ResourceKind.REPOSITORY, name.text)

    @classmethod
    def project(cls, name: str) -> Self:
        """The project called ``name``, a prefix that ends in a slash, or ``*``: all of its repositories together."""
        return cls(ResourceKind.PROJECT, name)

    @property
    def is_repository(self) -> bool:
        """Whether it is a repository, and no part of the registry itself."""
        return self.kind is ResourceKind.REPOSITORY

    @property
    def actions(self) -> frozenset[Action]:
        """Every action that there is on this resource; none for a part of the registry that does not exist."""
        match self.kind:
            case ResourceKind.REPOSITORY | ResourceKind.PROJECT:
                return _REPOSITORY_ACTIONS
            case ResourceKind.REGISTRY:
                return _REGISTRY_ACTIONS.get(self.name, frozenset())

    @property
    def token_actions(self) -> frozenset[Action]:
        """Those of its actions that the scope of a token can name."""
        return _TOKEN_ACTIONS & self.actions


CATALOG = Resource(ResourceKind.REGISTRY, "catalog")
"""The listing of repositories, ``registry:catalog`` in Docker's token scopes."""

METRICS = Resource(ResourceKind.REGISTRY, "metrics")
"""The registry's own figures."""

ADMINISTRATION = Resource(ResourceKind.REGISTRY, "administration")
"""Users, groups and what else belongs to no project."""

_REPOSITORY_ACTIONS = frozenset(
    {Action.PULL, Action.PUSH, Action.MOVE, Action.DELETE, Action.ROBOTS, Action.RETENTION, Action.PROJECT}
)
_TOKEN_ACTIONS = frozenset({Action.PULL, Action.PUSH, Action.MOVE, Action.DELETE, Action.CATALOG, Action.METRICS})
_REGISTRY_ACTIONS = {
    CATALOG.name: frozenset({Action.CATALOG}),
    METRICS.name: frozenset({Action.METRICS}),
    ADMINISTRATION.name: frozenset({Action.ADMINISTER}),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource that a token carries.

    ``project`` is the uid of the project in which the repository lay when it was granted: a project that was made anew
    under the same name is another one. It is empty for parts of the registry itself.
    """

    resource: Resource
    action: Action
    project: str = ""
