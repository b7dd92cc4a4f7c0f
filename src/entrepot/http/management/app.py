"""The management API as an ASGI application, described by OpenAPI 3.1."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from entrepot.http.bodies import read_body
from entrepot.http.errors import BodyTooLarge, FieldsInvalid, PathUnknown, as_problem
from entrepot.http.management import (
    audit,
    bindings,
    explain,
    groups,
    keys,
    me,
    projects,
    repositories,
    robots,
    roles,
    tokens,
    users,
)
from entrepot.http.management.context import PREFIX, Management
from entrepot.http.observation import observation_of
from entrepot.metadata import ConstraintViolation
from entrepot.oci import MethodNotAllowed, RegistryError, RequestInvalid

BODY_BYTES_AT_MOST: Final = 64 * 1024
FIELDS_AT_MOST: Final = 20  # of one request that are told to be wrong

_PROBLEM: Final[Mapping[str, Any]] = {
    "description": "Why it was not done (RFC 9457).",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "code", "instance", "parameters"],
                "properties": {
                    "type": {"type": "string", "format": "uri"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "code": {"type": "string"},
                    "instance": {"type": "string", "format": "uri"},
                    "parameters": {"type": "object"},
                },
            }
        }
    },
}

_LIMIT: Final[Mapping[str, Any]] = {
    "description": "The server's limits, before the API is reached, are told as the distribution specification has it.",
    "content": {"application/json": {"schema": {"type": "object", "required": ["errors"]}}},
}

_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))

_REFUSALS: Final[tuple[type[Exception], ...]] = (
    RegistryError,
    ConstraintViolation,
    RequestValidationError,
    HTTPException,
)


class ManagementAPI:
    """ASGI application of the paths below ``/api/v1``; refusals are problem documents."""

    def __init__(self, management: Management) -> None:
        self._app = _application(management)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Serve one request for ``path``, as it was sent below the registry's prefix; raises ClientGone."""
        observation_of(scope).route = f"{PREFIX}/…"
        inner = {**scope, "path": path, "root_path": ""}
        try:
            body = await read_body(Request(scope, receive), at_most=BODY_BYTES_AT_MOST, too_large=BodyTooLarge)
        except RegistryError as error:
            await as_problem(error, observation_of(scope))(scope, receive, send)
            return
        await self._app(inner, _replayed(body, receive), _unstored(send))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read again; then whatever comes."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _unstored(send: Send) -> Send:
    """Answers that no cache keeps: what they say is for one caller and one moment."""

    async def unstored(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            added = [header for header in _HEADERS if header[0] not in names]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return unstored


def _application(management: Management) -> FastAPI:
    handlers: dict[int | type[Exception], Any] = dict.fromkeys(_REFUSALS, _refuse)
    handlers[Exception] = _fail
    app = FastAPI(
        title="entrepot",
        summary="Who may do what, and what repositories hold.",
        version=version("entrepot"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": management.addresses.path_prefix or "/"}],
        root_path_in_servers=False,
        generate_unique_id_function=_operation,
        exception_handlers=handlers,
    )
    app.state.management = management
    refusals: dict[int | str, dict[str, Any]] = {"4XX": dict(_PROBLEM), "5XX": dict(_PROBLEM)}
    limits: dict[int | str, dict[str, Any]] = {str(status): dict(_LIMIT) for status in (408, 414, 431)}
    api = APIRouter(prefix=PREFIX, responses=refusals | limits)
    nouns = (me, users, groups, robots, tokens, projects, roles, bindings, explain, keys, repositories, audit)
    for noun in nouns:
        api.include_router(noun.router)
    app.include_router(api)
    described = app.openapi

    def described_without_validation() -> dict[str, Any]:
        document = described()
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)  # it is one of the problems
        return document

    app.openapi = described_without_validation  # type: ignore[method-assign]
    return app


def _operation(route: APIRoute) -> str:
    return route.name


async def _refuse(request: Request, error: Exception) -> Response:  # ruff: ignore[unused-async]  handlers are asynchronous
    """The answer to a refusal, of ours or the framework's."""
    return as_problem(_refusal_of(error), observation_of(request))


async def _fail(request: Request, error: Exception) -> Response:  # ruff: ignore[unused-async, unused-function-argument]  likewise
    """The answer to what nobody expected; the error goes on to where it is logged."""
    observation = observation_of(request)
    return as_problem(RegistryError(request_id=observation.request_id), observation)


def _refusal_of(error: Exception) -> Exception:
    match error:
        case RequestValidationError():
            wrong = [
                {"field": ".".join(map(str, one["loc"])), "reason": str(one["type"]), "words": str(one["msg"])}
                for one in error.errors()[:FIELDS_AT_MOST]
            ]
            return FieldsInvalid(fields=wrong)
        case HTTPException(status_code=404):
            return PathUnknown()
        case HTTPException(status_code=405):
            return MethodNotAllowed(allow=(error.headers or {}).get("Allow", "").split(", "))
        case HTTPException():
            return RequestInvalid(reason="body")
        case _:
            return error
