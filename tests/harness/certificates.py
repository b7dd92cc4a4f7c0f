"""A certificate authority of the tests' own, and the certificate of a server."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LIFETIME = timedelta(hours=2)


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority that clients are given, the server's certificate and its key."""

    authority: Path
    certificate: Path
    key: Path

    def flags(self) -> tuple[str, ...]:
        """What `entrepot serve` is given."""
        return ("--tls-certificate", str(self.certificate), "--tls-key", str(self.key))


def make_certificates(
    folder: Path, *names: str, has_addresses: bool = True, age: timedelta = timedelta(0)
) -> Certificates:
    """Make an authority, and a certificate for these DNS names and the addresses of loopback.

    With an ``age`` of more than two hours the certificate has expired, with less than minus two it is not valid yet.
    """
    made = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of the tests")])
    authority = (
        _builder(issuer, issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    if has_addresses:
        alternatives += [x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        _builder(subject, issuer, key, age)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return made


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, age: timedelta = timedelta(0)
) -> x509.CertificateBuilder:
    """What both have in common."""
    now = datetime.now(UTC) - age
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), now - LIFETIME, now + LIFETIME
    )


@dataclass(frozen=True)
class ClientCertificates:
    """An authority for clients, which signs whatever a test asks for."""

    authority: Path
    _folder: Path
    _key: ec.EllipticCurvePrivateKey
    _issuer: x509.Name

    @classmethod
    def make(cls, folder: Path) -> "ClientCertificates":
        """Make the authority."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "clients of the tests")])
        certificate = (
            _builder(issuer, issuer, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = folder / "clients.crt"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(file, folder, key, issuer)

    def issue(self, name: str, *alternatives: x509.GeneralName) -> tuple[str, str]:
        """Files of a certificate with this common name, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._issuer, key)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        number = len(list(self._folder.iterdir()))
        certificate_file, key_file = self._folder / f"{number}.crt", self._folder / f"{number}.key"
        signed = builder.sign(self._key, hashes.SHA256())
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return str(certificate_file), str(key_file)
