"""Calls of the management API; its refusals come back as the errors that the server raised."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from entrepot.access import (
    LastAdministrator,
    NameTaken,
    NameUnknownHere,
    NameUnsuitable,
    PatternInvalid,
    ProjectHasContent,
    RoleInUse,
    VersionMismatch,
)
from entrepot.access.administration import ById, Which
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.server.remote.login import Server
from entrepot.oci import (
    Denied,
    NameInvalid,
    NameUnknown,
    RegistryError,
    RequestInvalid,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

PATIENCE: Final = timedelta(seconds=60)  # for one answer; deleting a large repository takes the longest
PAGE: Final = 1000

_ERRORS: Final[Mapping[str, type[RegistryError]]] = {
    f"urn:entrepot:problem:{name}": kind
    for name, kind in {
        "denied": Denied,
        "fields-invalid": RequestInvalid,
        "last-administrator": LastAdministrator,
        "name-invalid": NameInvalid,
        "name-taken": NameTaken,
        "name-unknown": NameUnknown,
        "name-unknown-here": NameUnknownHere,
        "name-unsuitable": NameUnsuitable,
        "pattern-invalid": PatternInvalid,
        "project-has-content": ProjectHasContent,
        "request-invalid": RequestInvalid,
        "role-in-use": RoleInUse,
        "too-many-requests": TooManyRequests,
        "unauthorized": Unauthorized,
        "unavailable": Unavailable,
        "version-mismatch": VersionMismatch,
    }.items()
}


@dataclass(frozen=True, slots=True)
class API:
    """The API of one registry, as one caller."""

    client: httpx.AsyncClient

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The document that answers, None for none; raises the server's errors, CommandFailed for no answer of ours."""
        chosen = {name: value for name, value in query.items() if value is not None}
        try:
            answer = await self.client.request(method, path, json=body, params=chosen)
        except httpx.HTTPError as error:
            message = f"{self.client.base_url} does not answer: {str(error) or type(error).__name__}"
            raise CommandFailed(message, ExitCode.NETWORK) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _error_of(answer)

    async def items(self, path: str, at_most: int | None = None, /, **query: Any) -> list[Any]:
        """Everything in a list, page after page, or its first ``at_most``."""
        found: list[Any] = []
        after: str | None = None
        while True:
            limit = PAGE if at_most is None else min(PAGE, at_most - len(found))
            page = await self.call("GET", path, limit=limit, after=after, **query)
            found += page["items"]
            after = page["next"]
            if after is None or len(found) == at_most:
                return found

    async def id_of(self, noun: str, which: Which) -> str:
        """The id of what has this name; raises NameUnknownHere."""
        if isinstance(which, ById):
            return which.uid
        found = (await self.call("GET", f"/{noun}", name=which))["items"]
        if not found:
            raise NameUnknownHere(kind=noun.removesuffix("s"), name=which)
        return str(found[0]["id"])


def client_of(server: Server) -> httpx.AsyncClient:
    """A client with the credentials of ``server``; raises CommandFailed for an authority that cannot be read."""
    try:
        verify = ssl.create_default_context(cafile=server.ca)
    except OSError as error:
        raise CommandFailed(f"--ca: {server.ca}: {error.strerror or error}", ExitCode.USAGE) from error
    secret = server.secret.reveal()
    auth = httpx.BasicAuth(server.name, secret) if server.name else None
    headers = {} if server.name else {"Authorization": f"Bearer {secret}"}
    return httpx.AsyncClient(
        base_url=f"{server.url}/api/v1",
        auth=auth,
        headers=headers,
        verify=verify,
        timeout=PATIENCE.total_seconds(),
        follow_redirects=False,
    )


def instant_of(text: str | None) -> datetime | None:
    """An instant from RFC 3339."""
    return None if text is None else datetime.fromisoformat(text)


def needed_instant(text: str) -> datetime:
    """Likewise, of a field that is never empty."""
    return datetime.fromisoformat(text)


def _error_of(answer: httpx.Response) -> Exception:
    if answer.headers.get("content-type") != "application/problem+json":
        message = f"{answer.request.url.host} has no management API of entrepot there (status {answer.status_code})"
        return CommandFailed(message, ExitCode.OTHER)
    problem = answer.json()
    kind = _ERRORS.get(problem["type"])
    if kind is None:
        message = f"{problem['title']} (request {problem['instance'].rpartition(':')[2]})"
        return CommandFailed(message, ExitCode.OTHER)
    return kind(**problem["parameters"])
