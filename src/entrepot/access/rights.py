"""What can be asked for: actions, the resources they apply to, and grants of one on the other."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from entrepot.oci import RepositoryName


class Action(StrEnum):
    """One kind of use of a resource; the values are those of Docker's token scopes where it has one."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"
    METRICS = "metrics"


class ResourceKind(StrEnum):
    """The resource types of Docker's token scopes that this registry knows."""

    REPOSITORY = "repository"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """Something that rights apply to: a repository by its name, or a part of the registry itself."""

    kind: ResourceKind
    name: str

    @classmethod
    def repository(cls, name: RepositoryName) -> Self:
        """The repository called ``name``, whether or not it exists."""
        return cls(ResourceKind.REPOSITORY, name.text)

    @property
    def is_repository(self) -> bool:
        """Whether it is a repository, and no part of the registry itself."""
        return self.kind is ResourceKind.REPOSITORY

    @property
    def actions(self) -> frozenset[Action]:
        """Every action that there is on this resource; none for a part of the registry that does not exist."""
        if self.kind is ResourceKind.REPOSITORY:
            return _REPOSITORY_ACTIONS
        return _REGISTRY_ACTIONS.get(self.name, frozenset())


CATALOG = Resource(ResourceKind.REGISTRY, "catalog")
"""The listing of repositories, ``registry:catalog`` in Docker's token scopes."""

METRICS = Resource(ResourceKind.REGISTRY, "metrics")
"""The registry's own figures."""

_REPOSITORY_ACTIONS = frozenset({Action.PULL, Action.PUSH, Action.DELETE})
_REGISTRY_ACTIONS = {CATALOG.name: frozenset({Action.CATALOG}), METRICS.name: frozenset({Action.METRICS})}


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource that a token carries.

    ``project`` is the uid of the project in which the repository lay when it was granted: a project that was made anew
    under the same name is another one. It is empty for parts of the registry itself.
    """

    resource: Resource
    action: Action
    project: str = ""
