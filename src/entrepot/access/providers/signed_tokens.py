"""JSON Web Tokens that others signed: header, signature and the claims that each has to have (RFC 7519, RFC 8725)."""

import hmac
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from entrepot.access.port import Clock
from entrepot.access.providers.identity import SUBJECT_CHARACTERS_AT_MOST
from entrepot.access.providers.json_documents import JsonObject, decode_json
from entrepot.access.providers.key_sets import ProviderKeys, PublicKey
from entrepot.oci import Unauthorized

SKEW_SECONDS_AT_MOST: Final = 30  # between the provider's clock and ours
AUDIENCES_AT_MOST: Final = 32

_HEADER_CHARACTERS_AT_MOST = 4096
_SEGMENTS = 3  # header, payload, signature
_EPOCH_SECONDS_AT_MOST = 10**12
# Parameters that name or bring a key, or change how the rest is read: none is needed, each was an attack somewhere.
_REFUSED_PARAMETERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})


@dataclass(frozen=True, slots=True)
class _Algorithm:
    name: str
    """As the library calls it."""
    key_type: str
    curve: str | None = None


_ALGORITHMS: Final[Mapping[str, _Algorithm]] = {
    **{name: _Algorithm(name, "RSA") for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": _Algorithm("ES256", "EC", "P-256"),
    "ES384": _Algorithm("ES384", "EC", "P-384"),
    "ES512": _Algorithm("ES512", "EC", "P-521"),
    "EdDSA": _Algorithm("Ed25519", "OKP", "Ed25519"),
    "Ed25519": _Algorithm("Ed25519", "OKP", "Ed25519"),
}


class SignedTokens:
    """Opens the tokens of one issuer.

    Only its own keys count, only asymmetric algorithms, and no header that brings a key with it. Tokens are
    Unauthorized with one of the reasons ``malformed``, ``algorithm``, ``header``, ``key``, ``signature``, ``claims``,
    ``issuer``, ``not-yet-valid``, ``expired``.
    """

    def __init__(self, issuer: str, keys: ProviderKeys, *, characters_at_most: int, clock: Clock = time.time) -> None:
        self._issuer = issuer
        self._keys = keys
        self._characters_at_most = characters_at_most
        self._clock = clock

    async def open(self, token: str) -> JsonObject:
        """The claims of a token that has ``iss``, ``sub``, ``exp`` and ``iat``; whom it is for is left to the caller.

        Raises Unauthorized, ProviderUnavailable.
        """
        claims = await self._verified(token)
        if claims.get("iss") != self._issuer:
            raise Unauthorized(reason="issuer")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_AT_MOST:
            raise Unauthorized(reason="claims")
        self._check_time(claims)
        return claims

    async def _verified(self, token: str) -> JsonObject:
        if len(token) > self._characters_at_most:
            raise Unauthorized(reason="malformed")
        header, payload, signature = split_token(token)
        algorithm = _algorithm_of(decode_segment(header))
        key = await self._key(decode_segment(header), algorithm)
        if not _is_genuine(algorithm, f"{header}.{payload}".encode(), signature, key):
            raise Unauthorized(reason="signature")
        return decode_segment(payload)

    async def _key(self, header: JsonObject, algorithm: _Algorithm) -> PublicKey:
        kid = header.get("kid")
        if not isinstance(kid, str | None):
            raise Unauthorized(reason="header")
        key = await self._keys.find(kid, str(header["alg"]), algorithm.key_type, algorithm.curve)
        if key is None:
            raise Unauthorized(reason="key")
        return key

    def _check_time(self, claims: JsonObject) -> None:
        now = self._clock()
        expires, issued = _instant(claims, "exp"), _instant(claims, "iat")
        not_before = _instant(claims, "nbf") if "nbf" in claims else issued
        if max(issued, not_before) > now + SKEW_SECONDS_AT_MOST:
            raise Unauthorized(reason="not-yet-valid")
        if expires <= now - SKEW_SECONDS_AT_MOST:
            raise Unauthorized(reason="expired")


def audiences_of(claims: JsonObject) -> list[str]:
    """Whom a token is for; raises Unauthorized, reason ``audience``."""
    stated = claims.get("aud")
    entries = stated if isinstance(stated, list) else [stated]
    audiences = [entry for entry in entries if isinstance(entry, str)]
    if not 0 < len(entries) <= AUDIENCES_AT_MOST or len(audiences) != len(entries):
        raise Unauthorized(reason="audience")
    return audiences


def stated_issuer(token: str) -> str:
    """Who a token says that it is from, which is not verified; raises Unauthorized."""
    issuer = decode_segment(split_token(token)[1]).get("iss")
    if not isinstance(issuer, str):
        raise Unauthorized(reason="claims")
    return issuer


def same(one: object, other: str) -> bool:
    """Whether a claim is this text, in constant time."""
    return isinstance(one, str) and hmac.compare_digest(one.encode(), other.encode())


def split_token(token: str) -> list[str]:
    """The three segments of a token in compact form; raises Unauthorized."""
    segments = token.split(".")
    if len(segments) != _SEGMENTS or not token.isascii() or len(segments[0]) > _HEADER_CHARACTERS_AT_MOST:
        raise Unauthorized(reason="malformed")
    return segments


def decode_segment(segment: str) -> JsonObject:
    """The object in a header or payload; raises Unauthorized."""
    try:
        content = decode_json(urlsafe_b64decode(segment.encode()))
    except ValueError:
        content = None
    if content is None:
        raise Unauthorized(reason="malformed")
    return content


def _algorithm_of(header: JsonObject) -> _Algorithm:
    algorithm = _ALGORITHMS.get(str(header.get("alg")))
    if algorithm is None:
        raise Unauthorized(reason="algorithm")
    kind = header.get("typ", "JWT")
    if _REFUSED_PARAMETERS & header.keys() or not isinstance(kind, str) or kind.upper() != "JWT":
        raise Unauthorized(reason="header")
    return algorithm


def _is_genuine(algorithm: _Algorithm, signed: bytes, signature: str, key: PublicKey) -> bool:
    try:
        return JWSRegistry.algorithms[algorithm.name].verify(signed, urlsafe_b64decode(signature.encode()), key)
    except (JoseError, ValueError):
        return False


def _instant(claims: JsonObject, name: str) -> float:
    """Seconds since the epoch (NumericDate, which may have a fraction)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unauthorized(reason="claims")
    if not 0 <= value <= _EPOCH_SECONDS_AT_MOST:
        raise Unauthorized(reason="claims")
    return float(value)
