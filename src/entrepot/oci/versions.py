"""The order of tags that are versions (Semantic Versioning 2.0.0, "Precedence")."""

import re

from entrepot.oci.names import Tag

_VERSION = re.compile(
    r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:_[0-9A-Za-z._-]*)?"
)

_END = b"\x00"  # fewer identifiers come first
_NUMBER = b"\x01"  # numbers come before words
_WORD = b"\x02"
_RELEASE = b"\xff"  # a release comes after its pre-releases


def version_key(tag: Tag) -> bytes | None:
    """Bytes that compare as the tag's version does; None for a tag that is no version.

    Beyond the specification: a leading ``v``; missing numbers are 0 (``1.2`` stands with ``1.2.0``, ``1`` with
    ``1.0.0``, also with a suffix: ``1.2-alpine`` is a pre-release of ``1.2.0``); zeros in front are ignored, as dates
    have them (``2026.01.05``); ``_`` begins build metadata, which does not count, because tags have no ``+`` and
    clients write ``_`` for it. Versions of the same precedence have the same key: order those by tag.
    """
    match = _VERSION.fullmatch(tag.text)
    if match is None:
        return None
    *numbers, pre_release = match.groups()
    key = b"".join(_number(digits or "0") for digits in numbers)
    if pre_release is None:
        return key + _RELEASE
    return key + b"".join(_identifier(text) for text in pre_release.split(".")) + _END


def _number(digits: str) -> bytes:
    """Digits behind their count: a tag has at most 128 characters, so the count is one byte."""
    digits = digits.lstrip("0")
    return bytes([len(digits)]) + digits.encode("ascii")


def _identifier(text: str) -> bytes:
    return _NUMBER + _number(text) if text.isdecimal() else _WORD + text.encode("ascii") + _END
