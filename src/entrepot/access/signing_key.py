"""The key that signs tokens (Ed25519), as a JSON Web Key (RFC 7517, RFC 8037)."""

import json
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode
from typing_extensions import override

from entrepot.oci import Unavailable
from entrepot.secrets import Secret

_KEY_TYPE = "OKP"
_CURVE = "Ed25519"


class SigningKeyInvalid(Unavailable):
    """What is stored as a signing key is none: not a private Ed25519 key in JWK form, or of another id."""

    message = "the stored signing key is damaged"


class SigningKey:
    """A private Ed25519 key; ``kid`` is its thumbprint (RFC 7638), so an id cannot stand for two keys."""

    __slots__ = ("kid", "private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private = OKPKey.import_key(private)
        self.public = OKPKey.import_key(private.public_key())
        self.kid = self.public.thumbprint()

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_jwk(cls, stored: Secret) -> Self:
        """Read what ``to_jwk`` wrote; raises SigningKeyInvalid."""
        try:
            fields = json.loads(stored.reveal())
            if (fields["kty"], fields["crv"]) != (_KEY_TYPE, _CURVE):
                raise SigningKeyInvalid(reason="key")
            key = cls(Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(fields["d"].encode())))
        except (ValueError, TypeError, LookupError, AttributeError):
            raise SigningKeyInvalid(reason="key") from None
        if {**fields, **key.public_jwk()} != fields:
            raise SigningKeyInvalid(reason="public-part")
        return key

    def to_jwk(self) -> Secret:
        """The key with its private part, as JSON."""
        return Secret(json.dumps({**self.private.as_dict(private=True), **self.public_jwk()}, sort_keys=True))

    def public_jwk(self) -> dict[str, str]:
        """The public part with its ``kid``, for a key set that others read."""
        return {"kty": _KEY_TYPE, "crv": _CURVE, "x": str(self.public.as_dict()["x"]), "kid": self.kid, "use": "sig"}

    @override
    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"
