"""Saying more of a tag that is not there: whether its repository is, and which tags are close."""

import contextlib
import difflib
from typing import Final

from entrepot.client.errors import ClientError, NotFound
from entrepot.client.targets.registry.access import Access
from entrepot.client.targets.registry.listings import list_tags
from entrepot.oci import Tag

LOOKED_AT: Final = 1000
"""Tags that are compared at most: one page."""
_SHOWN: Final = 5
_CLOSE: Final = 0.6


async def explained(access: Access, tag: Tag, error: NotFound) -> NotFound:
    """The error for a tag that was not found, with what the repository has instead."""
    try:
        tags = await _first_tags(access)
    except NotFound:
        cause = "there is no such repository, or it is hidden from whoever is asking"
        return _told(access, tag, error, cause, f"entrepot whoami {access.place}")
    except ClientError:
        return error
    # The one that begins alike is meant more often than one that differs in the middle.
    begin_alike = [name for name in tags if name.startswith(tag.text)]
    close = list(dict.fromkeys([*begin_alike, *difflib.get_close_matches(tag.text, tags, _SHOWN, _CLOSE)]))[:_SHOWN]
    cause = "the repository is there, and has no such tag" if tags else "the repository has no tags"
    suggestion = f"did you mean {', '.join(f'{access.place}:{name}' for name in close)}" if close else ""
    return _told(access, tag, error, cause, suggestion or f"entrepot tags {access.place}")


async def _first_tags(access: Access) -> list[str]:
    tags: list[str] = []
    async with contextlib.aclosing(list_tags(access)) as found:
        async for tag in found:
            tags.append(tag.text)
            if len(tags) == LOOKED_AT:
                break
    return tags


def _told(access: Access, tag: Tag, error: NotFound, cause: str, following: str) -> NotFound:
    return NotFound(
        access.subject(tag),
        cause=cause,
        evidence=error.evidence,
        next_command=following,
        reason=error.reason,
        **error.detail,
    )
