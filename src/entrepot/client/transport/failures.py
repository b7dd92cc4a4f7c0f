"""What goes wrong below HTTP, as the client's errors."""

import asyncio
import contextlib
import ssl
from collections.abc import Generator
from typing import Final, NoReturn

import aiohttp

from entrepot.client.errors import LyingRegistry, NetworkFailure, TLSFailure

TRANSIENT: Final = frozenset({"refused", "broken-off", "stalled", "name", "busy"})
"""Reasons of NetworkFailure that may be gone a moment later."""

_PLAIN_HTTP: Final = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "UNEXPECTED_EOF",
    "PACKET_LENGTH_TOO_LONG",
)


@contextlib.contextmanager
def failures_of(subject: str, authority: str) -> Generator[None, None, None]:
    """Raise what aiohttp and the system raise inside as NetworkFailure, TLSFailure or LyingRegistry."""
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        _raise_from(error, subject, authority)


def is_plain_http(error: BaseException) -> bool:
    """Whether the other side answered to TLS as a server does that speaks plain HTTP, or hung up."""
    while isinstance(error, TLSFailure) and error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, aiohttp.ClientConnectorSSLError) and any(word in str(error) for word in _PLAIN_HTTP)


def _raise_from(error: BaseException, subject: str, authority: str) -> NoReturn:
    told = f"{authority}: {_words(error)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        raise _certificate_failure(error, subject, authority) from error
    if isinstance(error, aiohttp.ClientConnectorSSLError | aiohttp.ServerFingerprintMismatch | ssl.SSLError):
        cause = f"{authority} speaks plain HTTP, TLS was expected" if is_plain_http(error) else "TLS cannot be agreed"
        hint = "--plain-http, if the network between is trusted" if is_plain_http(error) else ""
        raise TLSFailure(subject, reason="tls", cause=cause, evidence=[told], next_command=hint) from error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        cause = "the name has no address, or no name server answers"
        raise NetworkFailure(subject, reason="name", cause=cause, evidence=[told]) from error
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        cause = "nothing listens there, or something between does not let through"
        raise NetworkFailure(subject, reason="refused", cause=cause, evidence=[told]) from error
    if isinstance(error, TimeoutError):
        cause = "no byte came or went for too long"
        raise NetworkFailure(subject, reason="stalled", cause=cause, evidence=[told]) from error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        evidence = f"{authority}: the proxy answers {error.status}"
        raise NetworkFailure(
            subject, reason="proxy", cause="the proxy does not let through", evidence=[evidence]
        ) from error
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        raise LyingRegistry(subject, reason="no-http", cause="this is no HTTP", evidence=[told]) from error
    cause = "the connection broke off"
    raise NetworkFailure(subject, reason="broken-off", cause=cause, evidence=[told]) from error


def _certificate_failure(error: aiohttp.ClientConnectorCertificateError, subject: str, authority: str) -> TLSFailure:
    inner = error.certificate_error
    reason = str(getattr(inner, "verify_message", "") or inner)
    cause = "its certificate is not trusted"
    if "expired" in reason or "not yet valid" in reason:
        cause = "its certificate has expired or is not valid yet, or the clock of this machine is wrong"
    elif "match" in reason or "Hostname" in reason:
        cause = "its certificate is for another name"
    return TLSFailure(
        subject,
        reason="certificate",
        cause=cause,
        evidence=[f"{authority}: {reason}"],
        next_command="--ca FILE with the certificate of its authority",
    )


def _words(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and not isinstance(error, aiohttp.ClientConnectorError):
        text = error.strerror
    return text
