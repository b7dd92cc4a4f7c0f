"""What a listener needs to speak TLS: its files, and the settings of a handshake that are made from them."""

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from entrepot.access import ClientCertificate, ClientIdentity, identity_of
from entrepot.certificates import read_chain
from entrepot.http.listen_errors import ListenError

Fingerprint: TypeAlias = tuple[tuple[int, ...] | None, ...]
"""What tells that a file has changed, for each file: times in nanoseconds, size, inode; None for one that is away."""

VOUCHED_KEY: Final = "entrepot.vouched"
"""Where a scope holds the name in the client's certificate: None without one, empty for one that names nobody."""

_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "KEY_TYPE_MISMATCH": "the key belongs to another certificate",
    "EE_KEY_TOO_SMALL": "the key is too short to be safe",
    "CA_MD_TOO_WEAK": "the chain is signed with a hash that is no longer safe",
}
"""Words for what OpenSSL says."""


@dataclass(frozen=True, slots=True)
class ClientAuthority:
    """PEM file with the authorities whose client certificates count, and whether a client has to have one.

    ``identity`` is the field of the certificate that names the client.
    """

    file: Path
    required: bool
    identity: ClientIdentity


@dataclass(frozen=True, slots=True)
class LoadedTLS:
    """The settings of the listening side as the files were when they were read; ``not_after`` ends the certificate."""

    context: ssl.SSLContext
    not_after: datetime


@dataclass(frozen=True, slots=True)
class TLS:
    """PEM files of a certificate with its chain and of its key; TLS 1.2 and newer are spoken.

    ``check_every`` is how often the files are looked at for changes.
    """

    certificate: Path
    key: Path
    clients: ClientAuthority | None = None
    check_every: timedelta = timedelta(seconds=2)

    def load(self) -> LoadedTLS:
        """Read the files; raises ListenError when they cannot be used. Blocks."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key, password="")
            leaf, *_ = read_chain(self.certificate.read_bytes())
        except (OSError, ssl.SSLError, ValueError) as error:
            files = f"the certificate {self.certificate} with the key {self.key}"
            raise ListenError(f"cannot use {files}: {_reason(error)}") from error
        if self.clients is not None:
            _expect_clients(context, self.clients)
        return LoadedTLS(context, leaf.not_valid_after_utc)

    def vouched(self, handshake: ssl.SSLObject | None) -> str | None:
        """The name in the certificate that the client has shown; None without one, empty for one that names nobody."""
        if self.clients is None or handshake is None:
            return None
        der = handshake.getpeercert(binary_form=True)
        if der is None:
            return None
        try:
            name = identity_of(ClientCertificate.parse(der), self.clients.identity)
        except ValueError:
            name = None
        return name or ""

    def fingerprint(self) -> Fingerprint:
        """How the files lie there now. Blocks."""
        files = [self.certificate, self.key]
        if self.clients is not None:
            files.append(self.clients.file)
        return tuple(map(_fingerprint, files))


def _expect_clients(context: ssl.SSLContext, clients: ClientAuthority) -> None:
    """Ask clients for a certificate that one of these authorities has signed; another one ends the handshake."""
    context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(clients.file)
    except (OSError, ssl.SSLError) as error:
        reason = _reason(error, "no certificate in PEM")
        raise ListenError(f"cannot use the client authorities {clients.file}: {reason}") from error


def _fingerprint(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def _reason(error: Exception, otherwise: str = "no PEM certificate with its unencrypted key") -> str:
    if isinstance(error, ssl.SSLError):
        return _REASONS.get(error.reason or "", otherwise)
    if isinstance(error, OSError):
        return error.strerror or otherwise
    return otherwise
