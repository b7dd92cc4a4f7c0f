"""Reading JSON from outside strictly and within bounds, so that every reader sees the same document (RFC 8259)."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Final, TypeAlias

from entrepot.oci.faults import ManifestFault, below, refuse, shown

JsonObject: TypeAlias = dict[str, object]

DEPTH_AT_MOST: Final = 32  # a manifest has 5 levels; the rest is for extensions
VALUES_AT_MOST: Final = 250_000  # bounds the memory that small values take beyond their bytes
ANNOTATIONS_AT_MOST: Final = 1024  # per map; the conformance suite has 390
ANNOTATION_KEY_CHARACTERS_AT_MOST: Final = 1024
NO_ANNOTATIONS: Final[Mapping[str, str]] = MappingProxyType({})

_INTEGER_CHARACTERS_READ = 20  # longer ones are outside 64 bits, whatever they are
_BEYOND_INT64 = 10**20
# Takes an unterminated string to the end and never gives back, so that time stays linear.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKETS = str.maketrans({"{": "[", "}": "]"})
_STEPS = {"[": 1, "]": -1}
_NO_BRACKET = re.compile(r"[^\[\]]+")


class _DuplicateKey(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Duplicated:
    """Stands where an object with a repeated key was found."""

    key: str


class _Constant(Exception):
    pass


def _unique(pairs: list[tuple[str, object]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


def _marked(pairs: list[tuple[str, object]]) -> JsonObject | _Duplicated:
    found: JsonObject = {}
    for key, value in pairs:
        if key in found:
            return _Duplicated(key)
        found[key] = value
    return found


def _integer(text: str) -> int:
    if len(text) > _INTEGER_CHARACTERS_READ:
        return -_BEYOND_INT64 if text.startswith("-") else _BEYOND_INT64
    return int(text)


def _fraction(_text: str) -> float:
    # No property of a manifest is a fraction: that it is one is all that matters, and a long literal costs nothing.
    return math.nan


def _constant(_text: str) -> object:
    raise _Constant


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
_MARKING_DECODER = json.JSONDecoder(
    object_pairs_hook=_marked, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def decode_object(content: bytes) -> JsonObject:
    """Decode one JSON object in UTF-8; fractions read as NaN, integers beyond 20 characters as ±10^20.

    Raises ManifestInvalid for other encodings, a byte order mark, other values, repeated keys, NaN and Infinity, more
    than 32 levels or 250,000 values. Takes time linear in the length and no more of the stack than 32 levels need.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        refuse("$", ManifestFault.NOT_UTF8, offset=error.start)
    if text.startswith("\ufeff"):
        refuse("$", ManifestFault.NOT_UTF8, offset=0)
    _check_structure(text)
    try:
        document = _decoded(_DECODER, text)
    except _DuplicateKey:
        path, key = next(_duplicates(_decoded(_MARKING_DECODER, text)))
        refuse(path, ManifestFault.DUPLICATE_KEY, key=shown(key))
    return read_object(document, "$")


def _decoded(decoder: json.JSONDecoder, text: str) -> object:
    try:
        document: object = decoder.decode(text)
    except json.JSONDecodeError as error:
        refuse("$", ManifestFault.NOT_JSON, offset=error.pos)
    except _Constant:
        refuse("$", ManifestFault.NOT_JSON, hint="NaN and Infinity are no JSON numbers")
    return document


def _check_structure(text: str) -> None:
    """Refuse too deep or too many values before anything is built."""
    openers = text.count("{") + text.count("[")
    if openers <= DEPTH_AT_MOST and openers + text.count(",") <= VALUES_AT_MOST:
        return  # even if none of them stood in a string
    outside = _STRING.sub("", text)
    if outside.count("{") + outside.count("[") + outside.count(",") > VALUES_AT_MOST:
        refuse("$", ManifestFault.TOO_MANY, at_most=VALUES_AT_MOST)
    brackets = _NO_BRACKET.sub("", outside.translate(_BRACKETS))
    if brackets.count("]") != brackets.count("["):
        refuse("$", ManifestFault.NOT_JSON, hint="brackets do not match")
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_AT_MOST:
        refuse("$", ManifestFault.TOO_DEEP, at_most=DEPTH_AT_MOST)


def _duplicates(document: object) -> Iterator[tuple[str, str]]:
    """The path of each object with a repeated key, and that key."""
    pending: list[tuple[str, object]] = [("$", document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, _Duplicated):
            yield path, value.key
        elif isinstance(value, dict):
            pending += [(below(path, key), entry) for key, entry in value.items()]
        elif isinstance(value, list):
            pending += [(below(path, position), entry) for position, entry in enumerate(value)]


def read_object(value: object, path: str) -> JsonObject:
    """Take a decoded value for an object."""
    if not isinstance(value, dict):
        refuse(path, ManifestFault.WRONG_TYPE, wanted="object")
    return value


def read_list(value: object, path: str, at_most: int) -> list[object]:
    """Take a decoded value for an array of at most so many entries; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(path, ManifestFault.WRONG_TYPE, wanted="array")
    if len(value) > at_most:
        refuse(path, ManifestFault.TOO_MANY, at_most=at_most)
    return value


def read_text(value: object, path: str, at_most: int | None = None) -> str:
    """Take a decoded value for a text that can be stored and sent on."""
    if not isinstance(value, str):
        refuse(path, ManifestFault.WRONG_TYPE, wanted="string")
    if at_most is not None and len(value) > at_most:
        refuse(path, ManifestFault.TOO_LONG, at_most=at_most)
    if not is_storable(value):
        refuse(path, ManifestFault.TEXT)
    return value


def is_storable(text: str) -> bool:
    """Whether a text has UTF-8 (no lone surrogate) and no NUL, which PostgreSQL does not store."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_annotations(value: object, path: str) -> Mapping[str, str]:
    """Take a decoded value for a map of annotations (image spec, annotations.md); null is an empty one."""
    if value is None:
        return NO_ANNOTATIONS
    annotations = read_object(value, path)
    if len(annotations) > ANNOTATIONS_AT_MOST:
        refuse(path, ManifestFault.TOO_MANY, at_most=ANNOTATIONS_AT_MOST)
    read: dict[str, str] = {}
    for key, text in annotations.items():
        if len(key) > ANNOTATION_KEY_CHARACTERS_AT_MOST:
            refuse(below(path, key), ManifestFault.TOO_LONG, at_most=ANNOTATION_KEY_CHARACTERS_AT_MOST)
        if not isinstance(text, str):
            refuse(below(path, key), ManifestFault.WRONG_TYPE, wanted="string")
        if not (is_storable(key) and is_storable(text)):
            refuse(below(path, key), ManifestFault.TEXT)
        read[key] = text
    return MappingProxyType(read)


def check_spelling(found: JsonObject, known: frozenset[str], path: str) -> None:
    """Refuse keys that differ from a known one in case only.

    Readers in Go take such a key for the known one, so they would see another document than readers that tell them
    apart.
    """
    if found.keys() <= known:
        return
    folded = {key.casefold(): key for key in known}
    for key in found.keys() - known:
        meant = folded.get(key.casefold())
        if meant is not None:
            refuse(path, ManifestFault.KEY_SPELLING, key=shown(key), meant=meant)
