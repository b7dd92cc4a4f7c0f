"""Sealed secrets open with their key file only."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.access import SealInvalid, is_sealed, seal, unseal

KEY_FILE = bytes(range(32))
SEALED = seal(b"the secret", KEY_FILE, purpose="tokens")


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=32, max_size=100))
def test_what_is_sealed_can_be_opened(secret: bytes, key_file: bytes) -> None:
    """Any secret comes back with the key file it was sealed with, and does not lie open in what is stored."""
    sealed = seal(secret, key_file, purpose="tokens")

    assert is_sealed(sealed)
    assert unseal(sealed, key_file, purpose="tokens") == secret
    assert secret not in sealed[8:] or len(secret) < 8


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    """Salt and nonce are fresh."""
    assert seal(b"x", KEY_FILE, purpose="tokens") != seal(b"x", KEY_FILE, purpose="tokens")


def test_another_key_file_does_not_open_it() -> None:
    """The wrong key is told apart from a wrong format."""
    with pytest.raises(SealInvalid) as refusal:
        unseal(SEALED, secrets.token_bytes(32), purpose="tokens")
    assert refusal.value.detail["reason"] == "key-file"


def test_another_purpose_does_not_open_it() -> None:
    """A sealed value put in the place of another kind of secret stays closed."""
    with pytest.raises(SealInvalid):
        unseal(SEALED, KEY_FILE, purpose="client-secrets")


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_damage_anywhere_is_noticed(position: int) -> None:
    """One flipped bit in any byte, header included, keeps it closed."""
    damaged = bytearray(SEALED)
    damaged[position] ^= 1
    with pytest.raises(SealInvalid):
        unseal(bytes(damaged), KEY_FILE, purpose="tokens")


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_truncation_is_noticed(length: int) -> None:
    """No prefix of a sealed value opens."""
    with pytest.raises(SealInvalid):
        unseal(SEALED[:length], KEY_FILE, purpose="tokens")


@pytest.mark.parametrize("key_file", [b"", b"short", bytes(31)])
def test_short_key_files_are_refused(key_file: bytes) -> None:
    """A key file with fewer bytes than the key is no key file, for sealing and opening alike."""
    with pytest.raises(SealInvalid) as sealing:
        seal(b"x", key_file, purpose="tokens")
    with pytest.raises(SealInvalid) as opening:
        unseal(SEALED, key_file, purpose="tokens")
    assert sealing.value.detail["reason"] == opening.value.detail["reason"] == "key-file-too-short"


def test_open_values_are_told_apart() -> None:
    """What was stored without a key file is not taken for sealed."""
    assert not is_sealed(b'{"kty":"OKP"}')
    assert not is_sealed(b"")
    with pytest.raises(SealInvalid) as refusal:
        unseal(b'{"kty":"OKP"}' * 10, KEY_FILE, purpose="tokens")
    assert refusal.value.detail["reason"] == "format"
