"""What can go wrong at the client: one class per meaning, each in four parts."""

from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

from entrepot.oci import Detail

_SHOWN = 300  # characters of a registry's words that are shown


class ClientError(Exception):
    """What failed, its likely cause, the evidence for it, and the command that may help.

    ``message`` is constant for a class and says with ``subject`` (a reference, a file, a host) what failed. ``reason``
    is a stable token where a class knows several; values are in ``detail`` for programs.
    """

    message: ClassVar[str] = "this cannot be done"

    def __init__(
        self,
        subject: str,
        *,
        cause: str = "",
        evidence: Iterable[str] = (),
        next_command: str = "",
        reason: str = "",
        **detail: Detail,
    ) -> None:
        super().__init__(f"{subject}: {self.message}")
        self.subject = subject
        self.cause = cause
        self.evidence = tuple(printable(line) for line in evidence if line)
        self.next_command = next_command
        self.reason = reason
        self.detail: dict[str, Detail] = detail

    def lines(self) -> list[str]:
        """The four parts for people, those that are known."""
        told = [str(self)]
        if self.cause:
            told.append(f"likely cause: {self.cause}")
        told += [f"evidence: {line}" for line in self.evidence]
        if self.next_command:
            told.append(f"next: {self.next_command}")
        return told


def printable(text: str) -> str:
    """Words from outside in one bounded line without control characters."""
    return "".join(character if character.isprintable() else " " for character in text[:_SHOWN]).strip()


class ReferenceInvalid(ClientError):
    """A text that names no image; ``cause`` says which part is wrong, ``next_command`` has the nearest valid form."""

    message = "this does not name an image"


class NotFound(ClientError):
    """The registry, layout or archive does not have it."""

    message = "not found"


class PlatformNotFound(NotFound):
    """The index has no image for the platform; ``evidence`` lists those there are."""

    message = "there is no image for this platform"


class LoginRequired(ClientError):
    """Credentials are missing, wrong or expired (401)."""

    message = "the registry wants a login"


class Forbidden(ClientError):
    """The registry knows who asks and refuses (403)."""

    message = "the registry does not allow this"


class OriginBlocked(ClientError):
    """Configuration forbids to use this registry."""

    message = "this registry is blocked by configuration"


class ConfigurationInvalid(ClientError):
    """A file of configuration that cannot be used, or a flag that contradicts another."""

    message = "this configuration cannot be used"


class CredentialStoreFailed(ClientError):
    """A program or file that keeps credentials is missing or does not do what it has to."""

    message = "the credential store does not work"


class RateLimited(ClientError):
    """The registry asks for patience (429), longer than was allowed for."""

    message = "the registry limits requests"

    def __init__(self, subject: str, *, retry_after: timedelta | None = None, **parts: object) -> None:
        super().__init__(subject, **parts)  # type: ignore[arg-type]  # the parts of ClientError
        self.retry_after = retry_after


class NetworkFailure(ClientError):
    """The registry cannot be reached, breaks off, or stands still."""

    message = "the registry cannot be reached"


class TLSFailure(NetworkFailure):
    """The registry's certificate is not trusted, or it does not speak TLS."""

    message = "no trusted connection to the registry"


class ServerFailure(NetworkFailure):
    """The registry answers that it cannot (5xx)."""

    message = "the registry has a failure of its own"


class RegistryRefused(ClientError):
    """The registry refuses for a reason that no other class has (4xx)."""

    message = "the registry refuses this"


class IntegrityFailure(ClientError):
    """Content or answers that are not what they have to be."""

    message = "the content is not what it should be"


class DigestMismatch(IntegrityFailure):
    """Content does not have the digest under which it was asked for; nothing of it was kept."""

    message = "the content does not have the digest that was asked for; nothing was written"


class LyingRegistry(IntegrityFailure):
    """An answer that contradicts the request, the specification or itself, or tries to lead astray."""

    message = "the registry's answer cannot be true"


class ContentInvalid(IntegrityFailure):
    """A manifest, layout or archive that does not hold together; ``subject`` names the file."""

    message = "this cannot be read as what it claims to be"


class DiskFull(ClientError):
    """There is no room for what is to be written; what is there is kept."""

    message = "no room is left on the device"


class Unwritable(ClientError):
    """A file or folder cannot be written or read."""

    message = "this cannot be read or written"


class TagExists(ClientError):
    """A tag stands already, and was not to be moved."""

    message = "the tag exists and is left where it is"


class UnsupportedHere(ClientError):
    """The registry, layout or archive cannot do this."""

    message = "this cannot be done there"
