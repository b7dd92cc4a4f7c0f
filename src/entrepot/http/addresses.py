"""Addresses that the registry gives to clients."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request

from entrepot.oci import Digest, Reference, RepositoryName


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the registry is reached: ``public_url`` without a slash at its end if set, and the path it is served under.

    Locations are relative without ``public_url``, so that they are right behind every proxy; a token realm is always
    absolute, from the request's ``Host`` (which the server has validated) and scheme.
    """

    public_url: str | None
    path_prefix: str
    service: str

    def blob(self, name: RepositoryName, digest: Digest) -> str:
        """Where a blob is pulled."""
        return self._location(f"/v2/{name}/blobs/{digest}")

    def manifest(self, name: RepositoryName, reference: Reference) -> str:
        """Where a manifest is pulled."""
        return self._location(f"/v2/{name}/manifests/{reference}")

    def upload(self, name: RepositoryName, session_id: str) -> str:
        """Where an upload session goes on."""
        return self._location(f"/v2/{name}/blobs/uploads/{session_id}")

    def next_page(self, path: str, **query: str | int | None) -> str:
        """The value of a ``Link`` header to the next page of a list (RFC 8288)."""
        parameters = "&".join(
            f"{key}={quote(str(value), safe=':')}" for key, value in query.items() if value is not None
        )
        return f'<{self._location(path)}?{parameters}>; rel="next"'

    def realm(self, request: Request) -> str:
        """Where tokens are asked for."""
        return f"{self._base(request)}{self.path_prefix}/token"

    def callback(self, request: Request) -> str:
        """Where a provider sends a browser back to."""
        return f"{self._base(request)}{self.path_prefix}/auth/oidc/callback"

    def origin(self, request: Request) -> str:
        """Where the registry's own pages come from (RFC 6454)."""
        return self._base(request)

    def is_protected(self, request: Request) -> bool:
        """Whether the registry is reached over TLS."""
        return self._base(request).startswith("https://")

    def _base(self, request: Request) -> str:
        return self.public_url or f"{request.scope['scheme']}://{_host_of(request)}"

    def _location(self, path: str) -> str:
        return f"{self.public_url or ''}{self.path_prefix}{path}"


def _host_of(request: Request) -> str:
    """The request's ``Host``, or the address it came to: HTTP/1.0 may do without."""
    host, port = request.scope["server"]
    return request.headers.get("host") or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
