"""``/auth/oidc/start`` and ``/auth/oidc/callback``: a browser to the provider and back (OpenID Connect Core 3.1)."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from entrepot.access import CodeLogins, Secret
from entrepot.access.code_logins import PATIENCE
from entrepot.http.addresses import Addresses
from entrepot.http.login.cookies import LOGIN_COOKIE, SESSION_COOKIE, cookie_of, delete_cookie, set_cookie
from entrepot.http.login.return_paths import parse_return_path
from entrepot.http.observation import observation_of
from entrepot.http.queries import parameter, query_of
from entrepot.oci import Unauthorized

_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


async def start(logins: CodeLogins, addresses: Addresses, request: Request) -> Response:
    """Send the browser to the provider, from where it comes back and goes on to ``return_to``."""
    return_to = parse_return_path(parameter(query_of(request), "return_to") or f"{addresses.path_prefix}/")
    begun = await logins.begin(addresses.callback(request), return_to)
    response = RedirectResponse(begun.url, 303, _NO_STORE)
    set_cookie(response, request, addresses, LOGIN_COOKIE, begun.browser, PATIENCE)
    return response


async def callback(logins: CodeLogins, addresses: Addresses, request: Request) -> Response:
    """Log in who comes back with a code, and give the browser a session."""
    query = query_of(request)
    state, code = parameter(query, "state"), parameter(query, "code")
    if state is None:
        raise Unauthorized(reason="state")
    logged_in = await logins.finish(
        Secret(state), None if code is None else Secret(code), cookie_of(request, LOGIN_COOKIE)
    )
    observation_of(request).principal = logged_in.principal
    response = RedirectResponse(logged_in.return_to, 303, _NO_STORE)
    set_cookie(response, request, addresses, SESSION_COOKIE, logged_in.session, logins.session_lifetime)
    delete_cookie(response, request, addresses, LOGIN_COOKIE)
    return response
