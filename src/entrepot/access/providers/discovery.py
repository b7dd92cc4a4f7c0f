"""What a provider says about itself (OpenID Connect Discovery 1.0), read again every hour."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from entrepot.access.port import Clock
from entrepot.access.providers.json_documents import JsonObject
from entrepot.access.providers.provider_client import ProviderClient

KEPT_FOR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The endpoints that are used (section 3), checked to be URLs that may be asked; None where there is none."""

    jwks_uri: str
    authorization_endpoint: str | None
    token_endpoint: str | None
    userinfo_endpoint: str | None
    device_authorization_endpoint: str | None
    posts_client_secret: bool
    """Whether the client's secret goes into the form: the provider does not take it by HTTP Basic."""


class Discovery:
    """Reads the metadata of one issuer, which has to call itself exactly what it is called here (section 4.3)."""

    def __init__(self, issuer: str, client: ProviderClient, clock: Clock = time.monotonic) -> None:
        self._issuer = issuer
        self._client = client
        self._clock = clock
        self._metadata: ProviderMetadata | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def metadata(self) -> ProviderMetadata:
        """The metadata, at most an hour old; raises ProviderUnavailable."""
        async with self._reading:
            if self._metadata is None or self._clock() - self._read_at >= KEPT_FOR.total_seconds():
                self._metadata = None
                self._metadata = await self._read()
                self._read_at = self._clock()
            return self._metadata

    async def keys(self) -> JsonObject:
        """The provider's JWK Set as it is now; raises ProviderUnavailable."""
        return await self._client.get((await self.metadata()).jwks_uri)

    async def _read(self) -> ProviderMetadata:
        document = await self._client.get(f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            self._client.refuse(self._issuer, "oidc-issuer")
        methods = document.get("token_endpoint_auth_methods_supported")
        return ProviderMetadata(
            jwks_uri=self._client.check_url(document.get("jwks_uri")),
            authorization_endpoint=self._endpoint(document, "authorization_endpoint"),
            token_endpoint=self._endpoint(document, "token_endpoint"),
            userinfo_endpoint=self._endpoint(document, "userinfo_endpoint"),
            device_authorization_endpoint=self._endpoint(document, "device_authorization_endpoint"),
            posts_client_secret=isinstance(methods, list) and "client_secret_basic" not in methods,
        )

    def _endpoint(self, document: JsonObject, name: str) -> str | None:
        url = document.get(name)
        return None if url is None else self._client.check_url(url)
