"""Projects, roles, bindings and decisions elsewhere, by the calls that there are on the data itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from entrepot.access import Action, Binding, Decision, Ground, RepositoryPattern, Resource
from entrepot.access.administration import Authority, BindingSubject, MovePlan, Role
from entrepot.cli.server.remote.api import API, needed_instant
from entrepot.metadata import BindingRow, ListedProject


@dataclass(frozen=True, slots=True)
class RemoteProjects:
    """Projects; who acts is known by the credentials of the call."""

    api: API

    async def page(self, _by: Authority, after: str = "") -> list[ListedProject]:
        """All of them at once."""
        return [] if after else [_project(one) for one in await self.api.items("/projects")]

    async def plan(self, _by: Authority, name: str) -> MovePlan:
        """Which repositories a project would have."""
        return _plan(await self.api.call("POST", "/projects/plan", {"name": name}))

    async def add(self, _by: Authority, name: str, description: str = "", *, move: bool = False) -> MovePlan:
        """Make a project."""
        return _plan(await self.api.call("POST", "/projects", {"name": name, "description": description, "move": move}))

    async def remove(self, _by: Authority, name: str) -> None:
        """Take a project away."""
        prefix = name if name.endswith("/") else f"{name}/"
        await self.api.call("DELETE", f"/projects/{await self.api.id_of('projects', prefix)}")


@dataclass(frozen=True, slots=True)
class RemoteRoles:
    """Roles."""

    api: API

    async def all(self, _by: Authority) -> list[Role]:
        """All of them."""
        return [_role(one) for one in await self.api.call("GET", "/roles")]

    async def add(self, _by: Authority, name: str, words: Iterable[str]) -> Role:
        """Make a role."""
        return _role(await self.api.call("POST", "/roles", {"name": name, "actions": list(words)}))

    async def remove(self, _by: Authority, name: str) -> None:
        """Take a role away."""
        await self.api.call("DELETE", f"/roles/{name}")


@dataclass(frozen=True, slots=True)
class RemoteBindings:
    """Bindings."""

    api: API

    async def page(
        self, _by: Authority, after: int = 0, *, project: str | None = None, account: str | None = None
    ) -> list[BindingRow]:
        """All of them at once."""
        if after:
            return []
        found = await self.api.items("/bindings", project=project, account=account)
        return list(starmap(_binding, enumerate(found, start=1)))

    async def add(
        self,
        _by: Authority,
        subject: BindingSubject,
        role: str,
        repositories: RepositoryPattern,
        *,
        project: str | None,
        inherited: bool,
    ) -> str:
        """Give a role."""
        whom = {"kind": subject.kind.value, "name": subject.name or None}
        document = {
            "subject": whom,
            "role": role,
            "repositories": repositories.text,
            "project": project,
            "inherited": inherited,
        }
        return str((await self.api.call("POST", "/bindings", document))["id"])

    async def remove(self, _by: Authority, uid: str) -> None:
        """Take a binding away."""
        await self.api.call("DELETE", f"/bindings/{uid}")


@dataclass(frozen=True, slots=True)
class RemoteExplain:
    """Decisions."""

    api: API

    async def __call__(self, _by: Authority, subject: str, action: Action, resource: Resource) -> Decision | None:
        """What would be decided there, with the binding that allows it."""
        said = await self.api.call("GET", "/explain", subject=subject, action=action.value, repository=resource.name)
        if said["disabled"]:
            return None
        binding = None
        if said["binding"] is not None:
            found = _binding(1, await self.api.call("GET", f"/bindings/{said['binding']}"))
            pattern = RepositoryPattern.parse(found.repositories)
            binding = Binding(
                found.uid, found.subject, found.project, found.role, frozenset({action}), pattern, found.inherited
            )
        return Decision(said["allowed"], Ground(said["ground"]), binding)


def _project(one: Mapping[str, Any]) -> ListedProject:
    return ListedProject(one["id"], one["name"], one["description"], needed_instant(one["created_at"]), 0)


def _plan(said: Mapping[str, Any]) -> MovePlan:
    return MovePlan(said["parent"], said["repositories"], said["more"])


def _role(one: Mapping[str, Any]) -> Role:
    return Role(one["name"], frozenset(map(Action, one["actions"])), one["built_in"])


def _binding(number: int, one: Mapping[str, Any]) -> BindingRow:
    subject = one["subject"]
    return BindingRow(
        id=number,
        uid=one["id"],
        subject=subject["kind"] if subject["name"] is None else f"{subject['kind']} {subject['name']}",
        project=one["project"],
        role=one["role"],
        role_actions=None,
        repositories=one["repositories"],
        inherited=one["inherited"],
        created_at=needed_instant(one["created_at"]),
        created_by=one["created_by"],
    )
