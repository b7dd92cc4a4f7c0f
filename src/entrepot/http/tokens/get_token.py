"""``GET /token``: credentials in, a short-lived token for the scopes that are asked and allowed out."""

from dataclasses import dataclass
from datetime import UTC
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrepot.access import Authenticator, Authorizer, TokenIssuer, basic_challenge, parse_scopes
from entrepot.http.errors import with_headers
from entrepot.http.observation import observation_of
from entrepot.oci import MethodNotAllowed, RequestInvalid, Unauthorized

_PARAMETERS_AT_MOST = 128


@dataclass(frozen=True, slots=True)
class GetToken:
    """Issue a bearer token to whom the Basic credentials name, or to everyone's anonymous self without any."""

    authenticator: Authenticator
    authorizer: Authorizer
    issuer: TokenIssuer
    service: str

    async def __call__(self, request: Request) -> Response:
        """Answer with the token; what is asked for and not allowed is left out, as the specification wants it.

        Raises Unauthorized with a Basic challenge for wrong credentials, RequestInvalid for malformed scopes.
        """
        observation_of(request).route = "/token"
        if request.method != "GET":
            raise MethodNotAllowed(allow=["GET"])
        try:
            query = parse_qsl(
                request.scope["query_string"].decode("ascii"), max_num_fields=_PARAMETERS_AT_MOST, errors="strict"
            )
        except ValueError:
            raise RequestInvalid(reason="query") from None
        scopes = parse_scopes(value for key, value in query if key == "scope")
        try:
            values = request.headers.getlist("authorization")
            if len(values) > 1:
                raise Unauthorized(reason="several-credentials")
            caller = await self.authenticator.authenticate(values[0] if values else None)
            if caller.granted is not None:
                raise Unauthorized(reason="scheme")
        except Unauthorized as refusal:
            raise with_headers(refusal, {"WWW-Authenticate": basic_challenge(self.service)}) from None
        observation_of(request).principal = caller.principal.name
        issued = self.issuer.issue(caller.principal, await self.authorizer.granted(caller.principal, scopes))
        return JSONResponse(
            {
                "token": issued.token.reveal(),
                "access_token": issued.token.reveal(),
                "expires_in": int(issued.expires_in.total_seconds()),
                "issued_at": issued.issued_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            headers={"Cache-Control": "no-store"},
        )
