"""Bearer tokens: JSON Web Tokens with an ``access`` claim (Docker registry v2, "Token Authentication")."""

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from entrepot.access.key_set import KeySet
from entrepot.access.lru import Recent
from entrepot.access.port import Clock
from entrepot.access.principals import Caller, Principal, PrincipalKind
from entrepot.access.rights import Grant
from entrepot.access.scopes import Scope, scope_of
from entrepot.oci import Unauthorized
from entrepot.secrets import Secret

LIFETIME = timedelta(minutes=5)
SKEW_AT_MOST = timedelta(seconds=30)  # between the clocks of replicas
TOKEN_CHARACTERS_AT_MOST = 24 * 1024  # the longest that the caps on scopes let happen, and below a header's 32 KiB
VERIFIED_AT_MOST = 4096  # verified tokens that a process remembers

_ALGORITHM = "Ed25519"  # EdDSA by its fully specified name (RFC 9864)
_TYPE = "JWT"
_HEADER_CHARACTERS_AT_MOST = 512
_SEGMENTS = 3  # header, payload, signature
_REGISTRY = jws.JWSRegistry(algorithms=[_ALGORITHM])


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token for a client, and how long it is good for from ``issued_at`` (UTC, whole seconds)."""

    token: Secret
    issued_at: datetime
    expires_in: timedelta


class TokenIssuer:
    """Makes signed tokens; what they carry was decided before."""

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        service: str,
        lifetime: timedelta = LIFETIME,
        clock: Clock = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._service = service
        self._lifetime = timedelta(seconds=int(lifetime.total_seconds()))
        self._clock = clock

    def issue(self, principal: Principal, scopes: Iterable[Scope], *, credential: str = "") -> IssuedToken:
        """Sign a token that carries ``scopes`` for ``principal``, who showed the ``credential`` of this uid."""
        now, key = int(self._clock()), self._keys.signing
        claims = {
            "iss": self._issuer,
            "sub": principal.id,
            "aud": self._service,
            "exp": now + int(self._lifetime.total_seconds()),
            "nbf": now,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            "kind": principal.kind.value,
            "name": principal.name,
            "cid": credential,
            "access": [_entry(scope) for scope in scopes],
        }
        header = {"alg": _ALGORITHM, "kid": key.kid, "typ": _TYPE}
        payload = json.dumps(claims, separators=(",", ":")).encode()
        token = jws.serialize_compact(header, payload, key.private, registry=_REGISTRY)
        return IssuedToken(Secret(token), datetime.fromtimestamp(now, UTC), self._lifetime)


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token whose signature and claims were found good, with the key and the time that it is good for."""

    kid: str
    caller: Caller
    not_before: int
    expires: int


class TokenVerifier:
    """Turns tokens of this registry back into callers.

    Only keys of the set count, found by ``kid``, and only Ed25519; a header with anything else in it (``jwk``, ``jku``,
    ``x5u``, ``crit`` …) is refused. A verified token is remembered by its hash until it expires. Clocks may differ by
    ``skew``.
    """

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        service: str,
        skew: timedelta = SKEW_AT_MOST,
        clock: Clock = time.time,
        verified_at_most: int = VERIFIED_AT_MOST,
    ) -> None:
        self._keys = keys
        self._skew = skew.total_seconds()
        self._issuer = issuer
        self._service = service
        self._clock = clock
        self._verified: Recent[bytes, _Verified] = Recent(verified_at_most)

    async def verify(self, token: str, *, expired_too: bool = False) -> Caller:
        """The caller that ``token`` stands for; with ``expired_too`` it may be over, and the caller says so.

        Raises Unauthorized, where ``reason`` is one of ``malformed``, ``algorithm``, ``key``, ``signature``,
        ``claims``, ``issuer``, ``audience``, ``not-yet-valid`` and ``expired``; Unavailable when a new key is looked
        for.
        """
        if len(token) > TOKEN_CHARACTERS_AT_MOST or not token.isascii():
            raise Unauthorized(reason="malformed")
        content = token.encode("ascii")
        address = hashlib.sha256(content).digest()
        known = self._verified.get(address)
        if known is not None and self._keys.find(known.kid) is None:
            known = None
            self._verified.drop(address)
        verified = known or self._read(*await self._open(content))
        now = self._clock()
        is_over = now >= verified.expires + self._skew
        if is_over or now < verified.not_before - self._skew:
            self._verified.drop(address)
            if is_over and expired_too:
                return replace(verified.caller, is_expired=True)
            raise Unauthorized(reason="expired" if is_over else "not-yet-valid")
        if known is None:
            self._verified.put(address, verified)
        return verified.caller

    async def _open(self, content: bytes) -> tuple[str, bytes]:
        """Check header and signature; the key's id and the payload."""
        header = _read_header(content)
        if header.get("alg") != _ALGORITHM:
            raise Unauthorized(reason="algorithm")
        if header.keys() != {"alg", "kid", "typ"} or header["typ"] != _TYPE:
            raise Unauthorized(reason="malformed")
        kid = header["kid"]
        key = await self._keys.find_or_read(kid) if isinstance(kid, str) else None
        if key is None:
            raise Unauthorized(reason="key")
        try:
            opened = jws.extract_compact(content, registry=_REGISTRY)
            genuine = jws.validate_compact(opened, key.public, registry=_REGISTRY)
        except (JoseError, ValueError):
            raise Unauthorized(reason="malformed") from None
        if not genuine or opened.payload is None:
            raise Unauthorized(reason="signature")
        return key.kid, opened.payload

    def _read(self, kid: str, payload: bytes) -> _Verified:
        """Check every claim but the time."""
        try:
            claims = json.loads(payload)
        except ValueError:
            raise Unauthorized(reason="malformed") from None
        if not isinstance(claims, dict):
            raise Unauthorized(reason="malformed")
        issuer, service = _text(claims, "iss"), _text(claims, "aud")
        subject, name, _ = _text(claims, "sub"), _text(claims, "name"), _text(claims, "jti", empty=False)
        not_before = max(_instant(claims, "nbf"), _instant(claims, "iat"))
        expires = _instant(claims, "exp")
        try:
            kind = PrincipalKind(_text(claims, "kind"))
        except ValueError:
            raise Unauthorized(reason="claims") from None
        if (kind is PrincipalKind.ANONYMOUS) is not (not subject):
            raise Unauthorized(reason="claims")
        if issuer != self._issuer:
            raise Unauthorized(reason="issuer")
        if service != self._service:
            raise Unauthorized(reason="audience")
        caller = Caller(Principal(kind, subject, name), _grants(claims), _text(claims, "cid"))
        return _Verified(kid, caller, not_before, expires)


def _entry(scope: Scope) -> dict[str, Any]:
    """An entry of the ``access`` claim; ``project`` is this registry's own."""
    return {
        "type": scope.resource.kind.value,
        "name": scope.resource.name,
        "actions": list(scope.action_names),
        "project": scope.project,
    }


def _read_header(content: bytes) -> dict[str, Any]:
    """The header before anything is believed, read here so that the library never meets one of another shape."""
    segments = content.split(b".")
    if len(segments) != _SEGMENTS or not all(segments) or len(segments[0]) > _HEADER_CHARACTERS_AT_MOST:
        raise Unauthorized(reason="malformed")
    try:
        header = json.loads(urlsafe_b64decode(segments[0]))
    except ValueError:
        raise Unauthorized(reason="malformed") from None
    if not isinstance(header, dict):
        raise Unauthorized(reason="malformed")
    return header


def _text(claims: Mapping[str, Any], name: str, *, empty: bool = True) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise Unauthorized(reason="claims")
    return value


def _instant(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or value < 0:  # a bool is an int
        raise Unauthorized(reason="claims")
    return value


def _grants(claims: Mapping[str, Any]) -> frozenset[Grant]:
    """What the ``access`` claim carries; what this version does not know grants nothing."""
    access = claims.get("access")
    if not isinstance(access, list):
        raise Unauthorized(reason="claims")
    grants: set[Grant] = set()
    for entry in access:
        if not isinstance(entry, dict) or not isinstance(entry.get("actions"), list):
            raise Unauthorized(reason="claims")
        words = [word for word in entry["actions"] if isinstance(word, str)]
        scope = scope_of(_text(entry, "type"), _text(entry, "name"), words)
        if scope is not None:
            grants |= replace(scope, project=_text(entry, "project")).grants
    return frozenset(grants)
