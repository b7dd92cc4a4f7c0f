"""Credentials: what is made is recognised, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.access import Credential, CredentialKind, Secret
from entrepot.access.credentials import looks_like_a_credential

LETTERS = {
    CredentialKind.TOKEN: "p",
    CredentialKind.SECRET: "r",
    CredentialKind.REFRESH: "f",
    CredentialKind.SESSION: "s",
}


@pytest.mark.parametrize("kind", list(CredentialKind))
def test_a_credential_comes_back(kind: CredentialKind) -> None:
    """Kind, uid and digest are read from the text, which begins in a way that scanners find."""
    made = Credential.make(kind)
    read = Credential.parse(Secret(made.text.reveal()))

    assert read == made
    assert read is not None
    assert read.has_digest(made.digest)
    assert re.fullmatch(f"ent{LETTERS[kind]}_[0-9A-Za-z]{{54}}", made.text.reveal())
    assert looks_like_a_credential(made.text)


def test_no_two_are_alike() -> None:
    """Neither the uid nor the secret comes again."""
    made = [Credential.make(CredentialKind.TOKEN) for _ in range(500)]
    assert len({one.uid for one in made}) == len({one.text.reveal()[21:53] for one in made}) == 500


def test_every_changed_character_is_refused() -> None:
    """The checksum notices each single mistake, so that it costs no read."""
    text = Credential.make(CredentialKind.REFRESH).text.reveal()
    for position in range(len(text)):
        mistake = "y" if text[position] == "x" else "x"
        assert Credential.parse(Secret(text[:position] + mistake + text[position + 1 :])) is None
    for other in (text[:-1], text + "x", f" {text}", f"{text}\n", text.upper()):
        assert Credential.parse(Secret(other)) is None


@given(st.text(max_size=80) | st.from_regex(r"ent[prfs]_[0-9A-Za-z]{54}", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing that is read is anything but what it says."""
    read = Credential.parse(Secret(text))
    assert read is None or read.text.reveal() == text


def test_a_credential_does_not_show_itself() -> None:
    """Not in its representation."""
    made = Credential.make(CredentialKind.SESSION)
    assert made.text.reveal()[21:] not in repr(made)
