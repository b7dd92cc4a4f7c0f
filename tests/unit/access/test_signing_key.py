"""Signing keys are stored whole or not believed."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from entrepot.access import Secret, SigningKey, SigningKeyInvalid

OTHER = json.loads(SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32))).to_jwk().reveal())


def test_a_key_is_read_back() -> None:
    """Written and read, it is the same key under the same id, with its public part apart."""
    key = SigningKey.generate()
    again = SigningKey.from_jwk(key.to_jwk())

    assert again.kid == key.kid
    assert again.to_jwk() == key.to_jwk()
    assert again.public_jwk() == key.public_jwk()
    assert set(key.public_jwk()) == {"kty", "crv", "x", "kid", "use"}
    assert not key.public.is_private


def test_keys_differ() -> None:
    """Two generated keys have different ids."""
    assert SigningKey.generate().kid != SigningKey.generate().kid


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "another"},
        {"kid": OTHER["kid"]},
        {"x": OTHER["x"]},
        {"d": OTHER["d"]},
        {"d": "AAAA"},
        {"d": "not base64!"},
        {"d": 7},
        {"d": None},
        {"crv": "Ed448"},
        {"crv": "X25519"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"use": "enc"},
    ],
)
def test_damaged_keys_are_refused(change: dict[str, Any]) -> None:
    """A field that does not belong to the private part, or no Ed25519 key at all, is an error."""
    fields = json.loads(SigningKey.generate().to_jwk().reveal())
    with pytest.raises(SigningKeyInvalid):
        SigningKey.from_jwk(Secret(json.dumps({**fields, **change})))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "7", '"x"', "{", "\udc80"])
def test_what_is_no_key_is_refused(text: str) -> None:
    """Other JSON, and what is none, is an error that shows nothing of it."""
    with pytest.raises(SigningKeyInvalid) as refusal:
        SigningKey.from_jwk(Secret(text))
    assert refusal.value.detail == {"reason": "key"}
