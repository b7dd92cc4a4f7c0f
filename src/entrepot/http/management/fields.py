"""Fields that many documents of the management API have."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from entrepot.oci import RequestInvalid

_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"  # one line, and nothing that a database does not take
_CHARACTERS_AT_MOST: Final = 1024
_LIFETIME_AT_MOST: Final = 100 * 365 * 24 * 3600

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=_TEXT)]
Description = Annotated[str, Field(max_length=_CHARACTERS_AT_MOST, pattern=_TEXT)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
Lifetime = Annotated[int, Field(ge=1, le=_LIFETIME_AT_MOST, description="Seconds from now.")]
Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9]+$")]
ByName = Annotated[str | None, Query(min_length=1, max_length=255, pattern=_TEXT, description="The only one.")]
RepositoryText = Annotated[str, Query(min_length=1, max_length=255, pattern=_TEXT, description="A repository's name.")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=64, description="The `ETag` of what was read, to lose no change.")
]


class Given(BaseModel):
    """What a client sends: nothing but the fields that are named."""

    model_config = ConfigDict(extra="forbid")


def lifetime_of(seconds: int | None) -> timedelta | None:
    """The duration of so many seconds."""
    return None if seconds is None else timedelta(seconds=seconds)


def etag_of(version: int) -> dict[str, str]:
    """The header that names the version of what is answered (RFC 9110 section 8.8.3)."""
    return {"ETag": f'"{version}"'}


def version_of(if_match: str | None) -> int | None:
    """The version that a change is meant for, None for any; raises RequestInvalid (RFC 9110 section 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # ruff: ignore[magic-value-comparison]  more than a row is ever changed
        raise RequestInvalid(reason="if-match")
    return int(text)
