"""``GET /.well-known/jwks.json``: the public keys of the tokens (RFC 7517 section 5), for whoever verifies them too."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrepot.access import KeySet
from entrepot.http.observation import observation_of
from entrepot.oci import MethodNotAllowed

KEY_SET_PATH: Final = "/.well-known/jwks.json"

_REMEMBERED_SECONDS = 600  # less than the time from a key's publication until it signs


@dataclass(frozen=True, slots=True)
class KeySetPage:
    """Show the keys whose tokens count, also those that do not sign yet, to everyone."""

    keys: KeySet

    async def __call__(self, request: Request) -> Response:
        """Answer with the set; readers may remember it for ten minutes."""
        observation_of(request).route = KEY_SET_PATH
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(allow=["GET", "HEAD"])
        content = {"keys": [{**key.public_jwk(), "alg": "Ed25519"} for key in self.keys.verifying]}
        headers = {"Cache-Control": f"public, max-age={_REMEMBERED_SECONDS}", "X-Content-Type-Options": "nosniff"}
        return JSONResponse(content, headers=headers, media_type="application/jwk-set+json")
