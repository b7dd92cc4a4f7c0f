"""The public address: which application answers which path."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.http.distribution import Distribution
from entrepot.http.errors import PathUnknown
from entrepot.http.login import Login
from entrepot.http.management import MANAGEMENT_PREFIX, ManagementAPI
from entrepot.http.ops import OPS_PATHS
from entrepot.http.tokens import KEY_SET_PATH, KeySetPage, TokenEndpoint

PATH = "entrepot.path"
"""Where a scope holds the path as it was sent, below the prefix; never decoded, so that nothing can hide in it."""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the public address answers, below ``prefix``; probes and the key set answer without it, too."""

    distribution: Distribution
    tokens: TokenEndpoint
    key_set: KeySetPage
    login: Login
    management: ManagementAPI
    ops: ASGIApp
    prefix: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; raises PathUnknown for a path that leads nowhere."""
        sent = scope["raw_path"].decode("latin-1")
        if sent == KEY_SET_PATH:
            await _answer(self.key_set, scope, receive, send)
            return
        if sent in OPS_PATHS:
            await self.ops(scope, receive, send)
            return
        if not sent.startswith(f"{self.prefix}/"):
            raise PathUnknown
        path = sent[len(self.prefix) :]
        scope[PATH] = path
        if path == "/v2" or path.startswith("/v2/"):
            await self.distribution(scope, receive, send)
        elif path == "/token":
            await _answer(self.tokens, scope, receive, send)
        elif path.startswith(f"{MANAGEMENT_PREFIX}/"):
            await self.management(scope, receive, send, path)
        elif path.startswith("/auth/"):
            response = await self.login(Request(scope, receive), path)
            await response(scope, receive, send)
        elif path == KEY_SET_PATH:
            await _answer(self.key_set, scope, receive, send)
        else:
            raise PathUnknown


async def _answer(
    handler: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send
) -> None:
    response = await handler(Request(scope, receive))
    await response(scope, receive, send)
