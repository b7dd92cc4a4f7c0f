"""When images were made, as they say themselves."""

from datetime import UTC, datetime
from typing import Final

from entrepot.client.errors import ClientError
from entrepot.client.inspecting import inspect
from entrepot.client.targets.port import Readable
from entrepot.oci import Descriptor

CREATED: Final = "org.opencontainers.image.created"
_CHILDREN_ASKED: Final = 3  # of an index; attestations have no date


async def created_at(source: Readable, descriptor: Descriptor) -> datetime | None:
    """The instant in an image's annotations or config, of an index that of its first image; None if it has none.

    What cannot be read has none; it is the names that are being listed.
    """
    try:
        found = await inspect(source, descriptor.digest, with_referrers=False)
        told = _instant(found.manifest.annotations.get(CREATED) or found.config.get("created"))
        if told is not None:
            return told
        for child in found.manifest.child_references()[:_CHILDREN_ASKED]:
            told = await created_at(source, child)
            if told is not None:
                return told
    except ClientError:
        return None
    return None


def _instant(text: object) -> datetime | None:
    """RFC 3339 with nanoseconds, as container tools write it."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
