"""What is to be known about a server's certificates, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

ENDS_SOON: Final = timedelta(days=30)


class Fault(StrEnum):
    """What can be wrong with a chain."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    ENDS_SOON = "ends-soon"
    NO_NAMES = "no-names"
    OTHER_NAMES = "other-names"
    BROKEN_CHAIN = "broken-chain"
    OTHER_KEY = "other-key"
    SELF_SIGNED = "self-signed"


@dataclass(frozen=True, slots=True)
class Facts:
    """A certificate; ``names`` are its DNS names and addresses, ``fingerprint`` is SHA-256 in hexadecimal."""

    subject: str
    issuer: str
    names: list[str]
    not_before: datetime
    not_after: datetime
    fingerprint: str


def facts_of(certificate: x509.Certificate) -> Facts:
    """What a certificate says."""
    return Facts(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        _names(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.fingerprint(SHA256()).hex(),
    )


def faults_of(chain: Sequence[x509.Certificate], host: str | None, now: datetime) -> list[Fault]:
    """What is wrong with a chain, the server's own certificate first; ``host`` None asks for no name."""
    leaf = chain[0]
    faults = []
    if any(certificate.not_valid_after_utc <= now for certificate in chain):
        faults.append(Fault.EXPIRED)
    elif leaf.not_valid_after_utc <= now + ENDS_SOON:
        faults.append(Fault.ENDS_SOON)
    if any(certificate.not_valid_before_utc > now for certificate in chain):
        faults.append(Fault.NOT_YET_VALID)
    if not _names(leaf):
        faults.append(Fault.NO_NAMES)
    elif host is not None and not any(_fits(name, host) for name in _names(leaf)):
        faults.append(Fault.OTHER_NAMES)
    if not all(_signs(chain[place], chain[place - 1]) for place in range(1, len(chain))):
        faults.append(Fault.BROKEN_CHAIN)
    if leaf.issuer == leaf.subject:
        faults.append(Fault.SELF_SIGNED)
    return faults


def key_fits(certificate: x509.Certificate, key_pem: bytes) -> bool:
    """Whether a key in PEM is the certificate's; raises ValueError for what is no unencrypted key."""
    try:
        key = load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        message = "the key is encrypted"
        raise ValueError(message) from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.DNSName) + [str(one) for one in found.get_values_for_type(x509.IPAddress)]


def _fits(name: str, host: str) -> bool:
    """Whether a certificate's name is the host's, also one with a star for its first part (RFC 6125 section 6.4.3)."""
    try:
        return ip_address(host) == ip_address(name)
    except ValueError:
        pass
    wanted, given = host.lower().rstrip("."), name.lower()
    if given.startswith("*."):
        return wanted.partition(".")[2] == given[2:] and "." in given[2:]
    return wanted == given


def _signs(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # ruff: ignore[blind-except]  whatever keeps it from being verified
        return False
    return True
