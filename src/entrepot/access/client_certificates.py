"""Who a client is by the certificate that it has shown in the TLS handshake."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

_CHARACTERS_AT_MOST: Final = 255


class ClientIdentity(StrEnum):
    """The field of a client's certificate that names the client."""

    CN = "cn"
    """The common name of the subject (RFC 5280 section 4.1.2.6)."""
    DNS = "dns"
    URI = "uri"
    """A subject alternative name of this kind (RFC 5280 section 4.2.1.6); SPIFFE names workloads by a URI."""
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that one of the client authorities vouches for; ``fingerprint`` is its SHA-256."""

    common_names: tuple[str, ...]
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    emails: tuple[str, ...]
    serial: int
    issuer: str
    not_after: datetime
    fingerprint: bytes

    @classmethod
    def parse(cls, der: bytes) -> Self:
        """Read a certificate that TLS has verified; raises ValueError for one that cannot be read."""
        certificate = x509.load_der_x509_certificate(der)
        common_names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = _alternative_names(certificate)
        return cls(
            common_names=tuple(str(attribute.value) for attribute in common_names),
            dns_names=tuple(names.get_values_for_type(x509.DNSName)),
            uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
            emails=tuple(names.get_values_for_type(x509.RFC822Name)),
            serial=certificate.serial_number,
            issuer=certificate.issuer.rfc4514_string(),
            not_after=certificate.not_valid_after_utc,
            fingerprint=certificate.fingerprint(SHA256()),
        )


def identity_of(certificate: ClientCertificate, kind: ClientIdentity) -> str | None:
    """The one name of this kind that the certificate has; None for none, for several, and for one that is unsound.

    DNS names are lower case, others as they are. What is longer than 255 characters, has spaces around it, characters
    that do not print or a wildcard is no name.
    """
    names = {
        ClientIdentity.CN: certificate.common_names,
        ClientIdentity.DNS: tuple(name.lower() for name in certificate.dns_names),
        ClientIdentity.URI: certificate.uris,
        ClientIdentity.EMAIL: certificate.emails,
    }[kind]
    if len(set(names)) != 1:
        return None
    name = names[0]
    is_sound = 0 < len(name) <= _CHARACTERS_AT_MOST and name.isprintable() and name == name.strip() and "*" not in name
    return name if is_sound else None


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
