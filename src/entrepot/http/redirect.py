"""The plain HTTP address that only tells clients where TLS is spoken."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrepot.http.errors import HostInvalid
from entrepot.http.observation import observation_of

_HTTPS_PORT: Final = 443
_KEPT: Final = "/:?#[]@!$&'()*+,;=%-._~"
"""What stands in a target as it is (RFC 3986 section 2.2)."""


@dataclass(frozen=True, slots=True)
class RedirectToTLS:
    """ASGI application that sends each request to the same path over TLS (308, so that its method stays).

    The address is ``public_url``, or else the request's own ``Host``, which the server has validated, with ``port``.
    """

    public_url: str | None
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises HostInvalid for one without ``Host`` when there is no other address."""
        observation_of(scope).route = "redirect"
        path = quote(scope["raw_path"], _KEPT) if scope["raw_path"].startswith(b"/") else "/"
        query = quote(scope["query_string"], _KEPT)
        location = f"{self._origin(Request(scope))}{path}{'?' if query else ''}{query}"
        headers = {"Location": location, "Cache-Control": "no-store"}
        await Response(status_code=308, headers=headers)(scope, receive, send)

    def _origin(self, request: Request) -> str:
        if self.public_url is not None:
            return self.public_url
        host = request.headers.get("host")
        if host is None:
            raise HostInvalid
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return f"https://{name}" if self.port == _HTTPS_PORT else f"https://{name}:{self.port}"
