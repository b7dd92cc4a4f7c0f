"""``/v2/`` itself: whether this is a registry, and whether the credentials hold (end-1)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrepot.access import PrincipalKind
from entrepot.http.distribution.context import Context
from entrepot.oci import MethodNotAllowed, Unauthorized


async def check_api(context: Context, request: Request) -> Response:
    """Say 200 to whoever shows valid credentials or a token, and ask everyone else to get one.

    The challenge comes even where anonymous pulls are allowed: ``docker login`` takes a 200 without credentials for
    the proof of any password, and docker, podman and skopeo ask for an anonymous token only after a challenge.
    """
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed(allow=["GET", "HEAD"])
    caller = await context.door.caller(request)
    if caller.principal.kind is PrincipalKind.ANONYMOUS and caller.granted is None:
        raise context.door.challenged(request, (), Unauthorized(reason="anonymous"))
    if caller.credential:
        await context.door.check(request, caller, await context.uses.hot.access_version())
    return JSONResponse({})
