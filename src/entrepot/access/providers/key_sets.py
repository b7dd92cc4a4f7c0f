"""The public keys of a provider (RFC 7517), read when they are needed and again when they change."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from entrepot.access.port import Clock
from entrepot.access.providers.circuit import Circuit
from entrepot.access.providers.errors import ProviderUnavailable
from entrepot.access.providers.json_documents import JsonObject
from entrepot.access.providers.provider_client import host_of

PublicKey: TypeAlias = RSAKey | ECKey | OKPKey
FetchKeys: TypeAlias = Callable[[], Awaitable[JsonObject]]
"""Reads a JWK Set (section 5); raises ProviderUnavailable."""

KEPT_FOR: Final = timedelta(hours=1)  # how long a withdrawn key can still count
ASKED_AGAIN_AFTER: Final = timedelta(minutes=1)  # for a key that is unknown
KEYS_AT_MOST: Final = 100
RSA_BITS_AT_LEAST: Final = 2048  # NIST SP 800-131A

logger = logging.getLogger(__name__)

_CURVES = {"P-256", "P-384", "P-521"}


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key with what its set says about it; ``suits`` is the only algorithm it may be used with, if it names one."""

    kid: str | None
    suits: str | None
    key: PublicKey


class ProviderKeys:
    """The keys of one provider.

    They are read again after an hour, and when an unknown key is asked for: that at most once a minute, whatever is
    asked. Keys that are older count no longer, also while the provider is down.
    """

    def __init__(self, issuer: str, fetch: FetchKeys, clock: Clock = time.monotonic) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._circuit = Circuit(clock=clock)
        self._clock = clock
        self._keys: tuple[PublishedKey, ...] = ()
        self._read_at: float | None = None
        self._asked_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str, key_type: str, curve: str | None) -> PublicKey | None:
        """The key for tokens signed with ``algorithm``: the one called ``kid``, without a ``kid`` the only one.

        Raises ProviderUnavailable when keys have to be read and cannot be.
        """
        if self._read_at is None or self._clock() - self._read_at >= KEPT_FOR.total_seconds():
            await self._read(self._read_at)
        wanted = (kid, algorithm, key_type, curve)
        found = _pick(self._keys, *wanted)
        if found is None and self._clock() - self._asked_at >= ASKED_AGAIN_AFTER.total_seconds():
            await self._read(self._read_at)
            found = _pick(self._keys, *wanted)
        return found

    async def _read(self, seen: float | None) -> None:
        """Read the set anew, unless somebody else has done so since it was ``seen``."""
        async with self._reading:
            if self._read_at != seen:
                return
            self._circuit.check()
            self._asked_at = self._clock()
            try:
                self._keys = read_key_set(await self._fetch())
            except ProviderUnavailable as error:
                reason = str(error.detail["reason"])
                logger.warning("the keys of the issuer %s cannot be read: %s", host_of(self._issuer), reason)
                self._circuit.failed(reason)
                raise
            self._circuit.succeeded()
            self._read_at = self._clock()


def read_key_set(document: JsonObject) -> tuple[PublishedKey, ...]:
    """The keys of a set that can verify signatures; others (symmetric, private, weak, for encryption) are left out.

    Raises ProviderUnavailable when none is left, or for more than 100.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > KEYS_AT_MOST:
        raise ProviderUnavailable(reason="oidc-keys")
    keys = tuple(key for key in map(_published, entries) if key is not None)
    if not keys:
        raise ProviderUnavailable(reason="oidc-keys")
    return keys


def _published(entry: object) -> PublishedKey | None:
    if not isinstance(entry, dict) or "d" in entry or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, suits = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str | None) or not isinstance(suits, str | None):
        return None
    key = _imported(entry)
    return None if key is None else PublishedKey(kid, suits, key)


def _imported(entry: JsonObject) -> PublicKey | None:
    try:
        match entry.get("kty"), entry.get("crv"):
            case "RSA", None:
                key = RSAKey.import_key({name: str(entry[name]) for name in ("kty", "n", "e")})
                return key if key.public_key.key_size >= RSA_BITS_AT_LEAST else None
            case "EC", str(curve) if curve in _CURVES:
                return ECKey.import_key({name: str(entry[name]) for name in ("kty", "crv", "x", "y")})
            case "OKP", "Ed25519":
                return OKPKey.import_key({name: str(entry[name]) for name in ("kty", "crv", "x")})
    except (JoseError, ValueError, TypeError, LookupError):
        return None
    return None


def _pick(
    keys: tuple[PublishedKey, ...], kid: str | None, algorithm: str, key_type: str, curve: str | None
) -> PublicKey | None:
    suitable = [
        one.key
        for one in keys
        if one.suits in {None, algorithm}
        and one.key.key_type == key_type
        and (curve is None or one.key.as_dict().get("crv") == curve)
        and kid in {None, one.kid}
    ]
    return suitable[0] if len(suitable) == 1 else None
