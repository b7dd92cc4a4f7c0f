"""How a principal stands: its state, and what it is bound to."""

from dataclasses import dataclass
from datetime import datetime

from entrepot.access.patterns import RepositoryPattern
from entrepot.access.principals import Principal
from entrepot.access.rights import Action

DEFAULT_PROJECT = "*"
"""The project of every repository that no other project has."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A role on the repositories of a project that fit a pattern.

    ``project`` is a prefix that ends in a slash, or ``*``. An ``inherited`` binding counts in the projects beneath, as
    well. ``subject`` tells whom it is for: ``account``, ``group NAME``, ``authenticated`` or ``anonymous``.
    """

    uid: str
    subject: str
    project: str
    role: str
    actions: frozenset[Action]
    repositories: RepositoryPattern
    inherited: bool

    def reaches(self, project: str) -> bool:
        """Whether it counts in ``project``."""
        if project == self.project:
            return True
        return self.inherited and (self.project == DEFAULT_PROJECT or project.startswith(self.project))


@dataclass(frozen=True, slots=True)
class Standing:
    """A principal as it is now, until when it lasts, and the bindings that are for it, its groups, or everyone."""

    principal: Principal
    bindings: tuple[Binding, ...] = ()
    expires_at: datetime | None = None


class Places:
    """Which project has which repository: the one with the longest name that the repository's begins with."""

    __slots__ = ("_uids",)

    def __init__(self, uids: dict[str, str]) -> None:
        self._uids = uids

    def project_of(self, repository: str) -> str:
        """The name of the project to which a repository belongs, whether or not it exists."""
        end = repository.rfind("/")
        while end > 0:
            prefix = repository[: end + 1]
            if prefix in self._uids:
                return prefix
            end = repository.rfind("/", 0, end)
        return DEFAULT_PROJECT

    def uid_of(self, repository: str) -> str:
        """The uid of that project; empty where there is none."""
        return self._uids.get(self.project_of(repository), "")
