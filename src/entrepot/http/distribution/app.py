"""One anchored path grammar for ``/v2/``: names contain slashes, and security hangs on where they end."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrepot.http.distribution import blobs, listings, manifests, uploads
from entrepot.http.distribution.base import check_api
from entrepot.http.distribution.context import Context
from entrepot.http.errors import PathUnknown
from entrepot.http.observation import observation_of
from entrepot.oci import MethodNotAllowed, RepositoryName

Handler: TypeAlias = Callable[[Context, Request, RepositoryName, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Route:
    template: str
    methods: dict[str, Handler]


_BASE: Final = "/v2/"
_CATALOG: Final = "/v2/_catalog"
_PATH: Final = re.compile(
    r"/v2/(?P<name>.+?)/"
    r"(?:(?P<tags>tags/list)"
    r"|(?P<uploads>blobs/uploads/?)"
    r"|(?P<upload>blobs/uploads)/(?P<session>[^/]+)"
    r"|(?P<blob>blobs)/(?P<digest>[^/]+)"
    r"|(?P<manifest>manifests)/(?P<reference>[^/]+)"
    r"|(?P<referrers>referrers)/(?P<subject>[^/]+))",
    re.ASCII | re.DOTALL,
)
_LAST: Final = {"upload": "session", "blob": "digest", "manifest": "reference", "referrers": "subject"}
_ROUTES: Final = {
    "tags": _Route("/v2/<name>/tags/list", {"GET": listings.get_tags, "HEAD": listings.get_tags}),
    "uploads": _Route("/v2/<name>/blobs/uploads/", {"POST": uploads.post_upload}),
    "upload": _Route(
        "/v2/<name>/blobs/uploads/<session>",
        {
            "GET": uploads.get_upload,
            "PATCH": uploads.patch_upload,
            "PUT": uploads.put_upload,
            "DELETE": uploads.delete_upload,
        },
    ),
    "blob": _Route(
        "/v2/<name>/blobs/<digest>",
        {"GET": blobs.get_blob, "HEAD": blobs.get_blob, "DELETE": blobs.delete_blob},
    ),
    "manifest": _Route(
        "/v2/<name>/manifests/<reference>",
        {
            "GET": manifests.get_manifest,
            "HEAD": manifests.get_manifest,
            "PUT": manifests.put_manifest,
            "DELETE": manifests.delete_manifest,
        },
    ),
    "referrers": _Route(
        "/v2/<name>/referrers/<digest>", {"GET": listings.get_referrers, "HEAD": listings.get_referrers}
    ),
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """The ASGI application for every path that begins with ``/v2``; the path is taken as it was sent, not decoded."""

    context: Context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the handler and send its answer; raises the typed errors of parsing, access and uses."""
        request = Request(scope, receive)
        response = await self._answer(request, scope["entrepot.path"])
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        await response(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        observation = observation_of(request)
        if path in {_BASE, "/v2"}:
            observation.route = _BASE
            return await check_api(self.context, request)
        if path == _CATALOG:
            observation.route = _CATALOG
            return await listings.get_catalog(self.context, request)
        match = _PATH.fullmatch(path)
        if match is None:
            raise PathUnknown
        kind = next(group for group in _ROUTES if match[group])
        route = _ROUTES[kind]
        observation.route = route.template
        handler = route.methods.get(request.method)
        if handler is None:
            raise MethodNotAllowed(allow=sorted(route.methods))
        name = RepositoryName.parse(match["name"])
        observation.repository = name.text
        last = match[_LAST[kind]] if kind in _LAST else ""
        return await handler(self.context, request, name, _colon(last))


def _colon(text: str) -> str:
    """The last segment with its one legal percent-encoding undone: some clients encode the colon of digests."""
    return text.replace("%3A", ":").replace("%3a", ":")
