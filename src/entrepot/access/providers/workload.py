"""Workloads that prove who they are: the OIDC tokens of CI jobs and pods (GitHub, GitLab, Kubernetes)."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from entrepot.access.port import Clock
from entrepot.access.providers.discovery import Discovery
from entrepot.access.providers.errors import ProviderUnavailable
from entrepot.access.providers.json_documents import JsonObject, decode_json
from entrepot.access.providers.key_sets import FetchKeys, ProviderKeys
from entrepot.access.providers.provider_client import ANSWER_BYTES_AT_MOST, TIMEOUT, ProviderClient
from entrepot.access.providers.signed_tokens import SignedTokens, audiences_of, stated_issuer
from entrepot.oci import Unauthorized

TOKEN_CHARACTERS_AT_MOST: Final = 24 * 1024  # below a header's 32 KiB
CLAIMS_AT_MOST: Final = 256
VALUE_CHARACTERS_AT_MOST: Final = 2048
DEPTH_AT_MOST: Final = 4  # kubernetes.io / serviceaccount / name


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Whose tokens count, if they are for ``audience`` and nobody else.

    The keys come from ``jwks_file`` (read each hour), else from ``jwks_url``, else from where the issuer's discovery
    says. ``ca`` replaces the system's authorities.
    """

    issuer: str
    audience: str
    jwks_file: Path | None = None
    jwks_url: str | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """A workload whose token was found good.

    ``claims`` are those that are text, numbers or yes and no, as text; members of a claim that is an object are named
    by their way there: ``kubernetes.io/namespace``.
    """

    issuer: str
    subject: str
    claims: Mapping[str, str]


class WorkloadIssuers:
    """Verifies tokens of the issuers that it was given; an issuer is asked for its keys when its first token comes."""

    def __init__(
        self,
        issuers: Iterable[TrustedIssuer],
        *,
        timeout: timedelta = TIMEOUT,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._clients: list[ProviderClient] = []
        self._issuers: dict[str, tuple[TrustedIssuer, SignedTokens]] = {}
        for trusted in issuers:
            client = ProviderClient(trusted.issuer, ca=trusted.ca, timeout=timeout, clock=monotonic)
            self._clients.append(client)
            keys = ProviderKeys(trusted.issuer, _source(trusted, client, monotonic), monotonic)
            tokens = SignedTokens(trusted.issuer, keys, characters_at_most=TOKEN_CHARACTERS_AT_MOST, clock=clock)
            self._issuers[trusted.issuer] = (trusted, tokens)

    def knows(self, token: str) -> bool:
        """Whether the text looks like a token of one of the issuers; nothing is verified."""
        try:
            return len(token) <= TOKEN_CHARACTERS_AT_MOST and stated_issuer(token) in self._issuers
        except Unauthorized:
            return False

    async def verify(self, token: str) -> WorkloadIdentity:
        """The workload that a token is about.

        Raises Unauthorized with the reasons of SignedTokens, ``issuer`` for one that is not trusted, ``audience`` for a
        token that is for others, or for others too; ProviderUnavailable.
        """
        if len(token) > TOKEN_CHARACTERS_AT_MOST:
            raise Unauthorized(reason="malformed")
        known = self._issuers.get(stated_issuer(token))
        if known is None:
            raise Unauthorized(reason="issuer")
        trusted, tokens = known
        claims = await tokens.open(token)
        if audiences_of(claims) != [trusted.audience]:
            raise Unauthorized(reason="audience")
        return WorkloadIdentity(trusted.issuer, str(claims["sub"]), MappingProxyType(flat_claims(claims)))

    async def close(self) -> None:
        """Close the connections to the issuers."""
        for client in self._clients:
            await client.close()


def flat_claims(claims: JsonObject) -> dict[str, str]:
    """Claims as text under the way to each; lists and nulls are left out, so that they hold no condition.

    Raises Unauthorized, reason ``claims``, for more than 256, values of more than 2048 characters, more than four
    levels, or two ways with one spelling.
    """
    flat: dict[str, str] = {}
    for name, value in _members(claims, "", 1):
        if name in flat or len(flat) >= CLAIMS_AT_MOST or len(value) > VALUE_CHARACTERS_AT_MOST:
            raise Unauthorized(reason="claims")
        flat[name] = value
    return flat


def _members(claims: JsonObject, before: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEPTH_AT_MOST:
        raise Unauthorized(reason="claims")
    for key, value in claims.items():
        match value:
            case str():
                yield f"{before}{key}", value
            case bool():
                yield f"{before}{key}", "true" if value else "false"
            case int():
                yield f"{before}{key}", str(value)
            case dict():
                yield from _members(value, f"{before}{key}/", depth + 1)


def _source(trusted: TrustedIssuer, client: ProviderClient, clock: Clock) -> FetchKeys:
    """Where the issuer's keys come from."""
    file, url = trusted.jwks_file, trusted.jwks_url
    if file is not None:
        return lambda: asyncio.to_thread(_read_file, file)
    if url is not None:
        return lambda: client.get(url)
    return Discovery(trusted.issuer, client, clock).keys


def _read_file(path: Path) -> JsonObject:
    try:
        with path.open("rb") as file:
            content = decode_json(file.read(ANSWER_BYTES_AT_MOST))
    except OSError:
        content = None
    if content is None:
        raise ProviderUnavailable(reason="oidc-keys-file")
    return content
