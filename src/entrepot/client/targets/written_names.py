"""Names of images as layouts and archives have them: a tag, or a whole reference."""

from collections.abc import Iterable

from entrepot.client.errors import ContentInvalid
from entrepot.oci import Tag, TagInvalid


def tags_of(names: Iterable[str], place: str) -> list[Tag]:
    """The tags of names, each once; raises ContentInvalid for a name without one."""
    return list(dict.fromkeys(_tag_of(name, place) for name in names))


def _tag_of(name: str, place: str) -> Tag:
    try:
        return Tag.parse(name.rpartition(":")[2])
    except TagInvalid:
        raise ContentInvalid(place, reason="name", cause="a name in it has no tag", evidence=[name[:300]]) from None
