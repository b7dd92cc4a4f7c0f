"""JSON objects from others, read so that every reader sees the same document (RFC 8259)."""

import json
from typing import NoReturn, TypeAlias

JsonObject: TypeAlias = dict[str, object]


def decode_json(content: bytes) -> JsonObject | None:
    """An object of JSON in UTF-8, without repeated keys, NaN and Infinity; None for anything else."""
    try:
        decoded = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_constant)
    except (ValueError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _unique(pairs: list[tuple[str, object]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key is repeated"
        raise ValueError(message)
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(text)
