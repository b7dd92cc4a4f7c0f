"""The facts of a certificate that is not trusted, for errors: who it is for, who issued it, when it is valid."""

import asyncio
import contextlib
import hashlib
import ssl
from datetime import UTC, datetime
from typing import Any, Final

from entrepot.client.errors import printable

_SECONDS_AT_MOST: Final = 5.0
_NAMES_AT_MOST: Final = 10
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module does not name


async def certificate_facts(address: str, port: int, host: str) -> list[str]:
    """What the certificate of a server says, line by line; none if it cannot be had.

    Nothing is sent but the greeting of TLS: once to get the certificate, and once to have it read, trusting it alone.
    """
    with contextlib.suppress(OSError, ssl.SSLError, TimeoutError, ValueError):
        async with asyncio.timeout(_SECONDS_AT_MOST):
            der = await _handshake(address, port, host, _trusting_anybody())
            assert isinstance(der, bytes)
            facts = [f"SHA-256 of its certificate: {_fingerprint(der)}"]
            with contextlib.suppress(OSError, ssl.SSLError):
                facts = _described(await _handshake(address, port, host, _trusting(der))) + facts
            return facts
    return []


async def _handshake(address: str, port: int, host: str, context: ssl.SSLContext) -> Any:
    """The server's certificate, as bytes or, of a context that verifies, as the ssl module reads it."""
    _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
    try:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return connection.getpeercert(binary_form=context.verify_mode == ssl.CERT_NONE)
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def _trusting_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _trusting(der: bytes) -> ssl.SSLContext:
    """Accept this one certificate, whatever it is for and however old it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=der)
    context.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    return context


def _described(certificate: dict[str, Any]) -> list[str]:
    names = [value for _, value in certificate.get("subjectAltName", ())]
    shown = ", ".join(names[:_NAMES_AT_MOST]) + (", …" if len(names) > _NAMES_AT_MOST else "")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [
        printable(f"its certificate is for {shown or 'no name'}"),
        printable(f"issued by {_name(certificate.get('issuer', ()))} to {_name(certificate.get('subject', ()))}"),
        f"valid from {_date(certificate, 'notBefore')} to {_date(certificate, 'notAfter')}; it is {now} here",
    ]


def _name(parts: Any) -> str:
    return ", ".join(str(value) for part in parts for _, value in part) or "nobody"


def _date(certificate: dict[str, Any], field: str) -> str:
    seconds = ssl.cert_time_to_seconds(str(certificate.get(field)))
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).digest().hex(":").upper()
