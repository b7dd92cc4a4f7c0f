"""What a server shows in a TLS handshake, and whether this machine trusts it."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed

SECONDS_AT_MOST: Final = 10.0

_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})


@dataclass(frozen=True, slots=True)
class Seen:
    """The chain as it was sent, and why it is not trusted; None where it is."""

    chain: list[x509.Certificate]
    refusal: str | None


def look_at(host: str, port: int, ca: Path | None) -> Seen:
    """Shake hands twice: to see the chain, and to see whether it holds; raises CommandFailed for no TLS at all."""
    open_minded = ssl.create_default_context()
    open_minded.check_hostname = False
    open_minded.verify_mode = ssl.CERT_NONE
    try:
        strict = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise CommandFailed(f"--ca: {ca}: {error.strerror or 'no certificate in PEM'}", ExitCode.USAGE) from error
    chain = _shake_hands(host, port, open_minded)
    try:
        _shake_hands(host, port, strict)
    except ssl.SSLCertVerificationError as error:
        return Seen(chain, error.verify_message)
    return Seen(chain, None)


def _shake_hands(host: str, port: int, context: ssl.SSLContext) -> list[x509.Certificate]:
    """The chain that is sent, which a client certificate would not change; raises SSLCertVerificationError."""
    try:
        with (
            socket.create_connection((host, port), SECONDS_AT_MOST) as plain,
            context.wrap_socket(plain, server_hostname=host) as shaken,
        ):
            return _chain_of(shaken)
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        reason = "there is no TLS, perhaps plain HTTP" if error.reason in _NO_TLS else (error.reason or str(error))
        raise CommandFailed(f"{host}:{port}: {reason}", ExitCode.NETWORK) from error
    except OSError as error:
        raise CommandFailed(f"{host}:{port} cannot be reached: {error.strerror or error}", ExitCode.NETWORK) from error


def _chain_of(shaken: ssl.SSLSocket) -> list[x509.Certificate]:
    if hasattr(shaken, "get_unverified_chain"):
        return [x509.load_der_x509_certificate(der) for der in shaken.get_unverified_chain()]
    handshake: Any = shaken._sslobj  # type: ignore[attr-defined]  # ruff: ignore[private-member-access]  public from Python 3.13 on
    sent = handshake.get_unverified_chain()
    return [x509.load_pem_x509_certificate(one.public_bytes().encode("ascii")) for one in sent]
