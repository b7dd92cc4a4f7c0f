"""``/token``: one address, asked in two ways."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from entrepot.http.observation import observation_of
from entrepot.http.tokens.get_token import GetToken
from entrepot.http.tokens.post_token import PostToken
from entrepot.oci import MethodNotAllowed


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Docker's ``GET`` and OAuth's ``POST``."""

    get: GetToken
    post: PostToken

    async def __call__(self, request: Request) -> Response:
        """Answer by method; raises what the two raise."""
        observation_of(request).route = "/token"
        match request.method:
            case "GET":
                return await self.get(request)
            case "POST":
                return await self.post(request)
            case _:
                raise MethodNotAllowed(allow=["GET", "POST"])
