"""The refusals of a registry, one class per meaning (distribution spec, "Error Codes")."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

Detail: TypeAlias = str | int | bool | Sequence["Detail"] | Mapping[str, "Detail"] | None


class RegistryError(Exception):
    """A refusal with a code; ``message`` is constant per class, values live in ``detail``."""

    code: ClassVar[str] = "UNKNOWN"
    message: ClassVar[str] = "the registry could not do this"

    def __init__(self, **detail: Detail) -> None:
        super().__init__(self.message)
        self.detail: dict[str, Detail] = detail


def words_of(error: BaseException, at_most: int) -> str:
    """An error in one line of up to ``at_most`` characters: its class, what it says, and its details."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    if isinstance(error, RegistryError) and error.detail:
        text += f" ({', '.join(f'{name}: {value}' for name, value in error.detail.items())})"
    return text[:at_most]


class BlobUnknown(RegistryError):
    """No such blob in this repository (code-1)."""

    code = "BLOB_UNKNOWN"
    message = "blob unknown to this repository"


class BlobReferenced(RegistryError):
    """A blob is named by manifests of the repository and cannot be deleted (405, "Deleting Blobs")."""

    code = "UNSUPPORTED"
    message = "the blob is referenced by manifests of this repository; delete those first"


class BlobUploadInvalid(RegistryError):
    """The upload cannot go on as asked (code-2)."""

    code = "BLOB_UPLOAD_INVALID"
    message = "the upload cannot go on like this"


class UploadRangeInvalid(BlobUploadInvalid):
    """A chunk does not start where the last one ended ("Pushing a blob in chunks"); ``detail`` has ``offset``."""

    message = "the chunk does not start where the last one ended"


class BlobUploadUnknown(RegistryError):
    """No such upload session for this repository and principal (code-3)."""

    code = "BLOB_UPLOAD_UNKNOWN"
    message = "upload unknown to this repository"


class DigestInvalid(RegistryError):
    """Not a digest, an unsupported algorithm, or not the digest of the content (code-4)."""

    code = "DIGEST_INVALID"
    message = "the digest is malformed, of an unsupported algorithm, or not that of the content"


class ManifestBlobUnknown(RegistryError):
    """The manifest names blobs that the repository lacks (code-5); raised once with every missing digest."""

    code = "MANIFEST_BLOB_UNKNOWN"
    message = "the manifest names content that this repository does not have"


class ManifestInvalid(RegistryError):
    """The manifest does not parse or breaks the image spec (code-6); ``detail`` has ``path`` and ``reason``."""

    code = "MANIFEST_INVALID"
    message = "the manifest is invalid"


class ManifestTooLarge(ManifestInvalid):
    """The manifest has more bytes than the registry takes (413)."""

    message = "the manifest is larger than this registry takes"


class ManifestUnknown(RegistryError):
    """No such manifest in this repository (code-7)."""

    code = "MANIFEST_UNKNOWN"
    message = "manifest unknown to this repository"


class ManifestConditionFailed(RegistryError):
    """``If-Match`` or ``If-None-Match`` of a manifest PUT does not hold (412, RFC 9110 section 13)."""

    code = "DENIED"
    message = "the tag does not stand where the condition says"


class NameInvalid(RegistryError):
    """Not a repository name (code-8)."""

    code = "NAME_INVALID"
    message = "invalid repository name"


class NameUnknown(RegistryError):
    """No such repository (code-9)."""

    code = "NAME_UNKNOWN"
    message = "repository unknown to this registry"


class TagInvalid(RegistryError):
    """Not a tag (the grammar of "Pulling manifests"; Docker's code)."""

    code = "TAG_INVALID"
    message = "invalid tag"


class TooManyTags(TagInvalid):
    """More ``tag`` parameters than one request may carry (414, end-7b)."""

    message = "more tags than one request may carry"


class SizeInvalid(RegistryError):
    """A length does not match the content (code-10)."""

    code = "SIZE_INVALID"
    message = "the length does not match the content"


class BlobTooLarge(SizeInvalid):
    """The body grows past what the registry takes (413)."""

    message = "the content is larger than this registry takes"


class Unauthorized(RegistryError):
    """Credentials are missing or wrong (code-11); ``detail`` names the scopes that are wanted."""

    code = "UNAUTHORIZED"
    message = "authentication required"


class Denied(RegistryError):
    """The principal is known and lacks the right (code-12)."""

    code = "DENIED"
    message = "requested access to the resource is denied"


class Unsupported(RegistryError):
    """The operation is not supported (code-13)."""

    code = "UNSUPPORTED"
    message = "the operation is unsupported"


class MethodNotAllowed(Unsupported):
    """The resource does not know this method (405); ``detail`` has ``allow``."""

    message = "the method is not allowed here"


class TooManyRequests(RegistryError):
    """The client asks too often (code-14)."""

    code = "TOOMANYREQUESTS"
    message = "too many requests"


class RangeInvalid(RegistryError):
    """The requested range lies outside the content (416, RFC 9110 section 14); ``detail`` has ``size``."""

    code = "RANGE_INVALID"
    message = "the requested range lies outside the content"


class PaginationInvalid(RegistryError):
    """``n`` is no number that the registry takes (Docker's code)."""

    code = "PAGINATION_NUMBER_INVALID"
    message = "invalid number of results requested"


class RequestInvalid(RegistryError):
    """The request breaks HTTP where no code of the specification fits (400)."""

    code = "UNSUPPORTED"
    message = "the request is malformed"


class RequestTimeout(RegistryError):
    """The body or its reader is slower than the minimum rate (408)."""

    code = "BLOB_UPLOAD_INVALID"
    message = "the transfer is slower than the minimum rate"


class StorageFull(RegistryError):
    """The store has no room for the bytes (507)."""

    code = "UNAVAILABLE"
    message = "the registry's storage is full"


class Unavailable(RegistryError):
    """Something that the registry needs does not answer (503); try again later."""

    code = "UNAVAILABLE"
    message = "the registry cannot answer now; try again later"


class ContentDamaged(Unavailable):
    """The row says that the content exists and the store lacks its bytes (503, promise P8)."""

    message = "the stored content is damaged"
