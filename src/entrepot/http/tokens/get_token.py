"""``GET /token``: credentials in, a short-lived token for the scopes that are asked and allowed out."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import Authenticator, IssueTokens, StoredCredentials, Trail, basic_challenge, parse_scopes
from entrepot.http.certified import certified
from entrepot.http.errors import with_headers
from entrepot.http.observation import observation_of
from entrepot.http.proxies import address_of
from entrepot.http.tokens.answers import get_answer
from entrepot.oci import RequestInvalid, Unauthorized

_PARAMETERS_AT_MOST = 128


@dataclass(frozen=True, slots=True)
class GetToken:
    """Issue a bearer token to whom the Basic credentials name, or to everyone's anonymous self without any.

    With ``offline_token=true`` there is a refresh token too, for ``POST``.
    """

    authenticator: Authenticator
    credentials: StoredCredentials
    issue: IssueTokens
    service: str
    trail: Trail

    async def __call__(self, request: Request) -> Response:
        """Answer with the token; what is asked for and not allowed is left out, as the specification wants it.

        Raises Unauthorized with a Basic challenge for wrong credentials, RequestInvalid for malformed scopes.
        """
        try:
            query = parse_qsl(
                request.scope["query_string"].decode("ascii"), max_num_fields=_PARAMETERS_AT_MOST, errors="strict"
            )
        except ValueError:
            raise RequestInvalid(reason="query") from None
        scopes = parse_scopes(value for key, value in query if key == "scope")
        single = dict(query)
        offline_for = single.get("client_id", "") if single.get("offline_token") in {"true", "1"} else None
        try:
            values = request.headers.getlist("authorization")
            if len(values) > 1:
                raise Unauthorized(reason="several-credentials")
            vouched = None if values else await certified(request, self.credentials)
            caller = vouched or await self.authenticator.authenticate(
                values[0] if values else None, address=address_of(request)
            )
            if caller.granted is not None:
                raise Unauthorized(reason="scheme")
            observation_of(request).principal = caller.principal
            self.trail.came(caller, "token", address_of(request))
            return get_answer(await self.issue(caller, scopes, offline_for=offline_for))
        except Unauthorized as refusal:
            raise with_headers(refusal, {"WWW-Authenticate": basic_challenge(self.service)}) from None
