"""Secrets show themselves nowhere."""

import copy
import dataclasses
import io
import json
import logging
import pickle  # ruff: ignore[suspicious-pickle-import]  it must fail
import traceback

import pytest

from entrepot.access import IssuedToken, Secret, SigningKey, StoredUser, generate_password

PLAIN = "plain-value-4711"


@dataclasses.dataclass
class Holder:
    """Something that has a secret in it."""

    secret: Secret


def test_no_way_of_printing_shows_it() -> None:
    """Neither repr nor str nor any format, alone or inside something else."""
    secret = Secret(PLAIN)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        f"{secret!s:>40}",
        format(secret, "^20"),
        " ".join(map(str, (secret, secret))),
        repr(Holder(secret)),
        repr([secret, {secret: secret}]),
        str(dataclasses.asdict(Holder(secret))),
        ascii(secret),
    ]
    assert not [text for text in shown if PLAIN in text]
    assert secret.reveal() == PLAIN


def test_it_is_written_nowhere() -> None:
    """Pickle and JSON refuse it, and it has no dictionary to dump."""
    secret = Secret(PLAIN)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(Holder(secret), protocol)
    with pytest.raises(TypeError):
        json.dumps({"password": secret})
    with pytest.raises(TypeError):
        vars(secret)


def test_logs_do_not_show_it() -> None:
    """A log line with the secret as an argument, and the traceback of an error about it, are masked."""
    stream = io.StringIO()
    logger = logging.getLogger("test.secret")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        holder = Holder(Secret(PLAIN))
        logger.warning("refused %s of %r", holder.secret, holder)
        error = ValueError(holder, holder.secret)
        logger.warning("failed", exc_info=error)
        stream.writelines(traceback.format_exception(error))
    finally:
        logger.removeHandler(handler)
    assert "refused" in stream.getvalue()
    assert PLAIN not in stream.getvalue()


def test_values_that_hold_secrets_do_not_show_them() -> None:
    """A stored user, an issued token and a signing key print without what is secret in them."""
    key = SigningKey.generate()
    private = json.loads(key.to_jwk().reveal())["d"]
    user = StoredUser("u1", "ann", PLAIN, is_admin=False, disabled=False)
    fields = {"token": Secret(PLAIN), "issued_at": None, "expires_in": None}
    token = IssuedToken(**fields)  # type: ignore[arg-type]

    assert PLAIN not in repr(user)
    assert PLAIN not in repr(token)
    assert private not in repr(key) + str(key) + repr(key.to_jwk())


def test_equality_is_by_value() -> None:
    """Two secrets of the same text are equal and hash alike; a plain string is never equal to one."""
    assert Secret(PLAIN) == Secret(PLAIN)
    assert Secret(PLAIN) != Secret(PLAIN + "x")
    assert Secret("\udc80") == Secret("\udc80")
    assert Secret(PLAIN) != PLAIN
    assert hash(Secret(PLAIN)) == hash(Secret(PLAIN))
    assert not Secret("")


def test_copies_are_the_same_secret() -> None:
    """Copying does not go by way of pickle."""
    secret = Secret(PLAIN)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(Holder(secret)).secret is secret


def test_generated_passwords_are_strong_and_readable() -> None:
    """At least 128 bits, safe in URLs, without characters that look alike, and different each time."""
    made = {generate_password().reveal() for _ in range(200)}

    assert len(made) == 200
    for password in made:
        assert password.isascii()
        assert password.isalnum()
        assert len(password) == 24  # of 56 characters: 139 bits
        assert not set(password) & set("0O1lI")
