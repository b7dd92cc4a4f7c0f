"""Where a browser goes after its login: a path of this registry, never another site's (CWE-601)."""

import re
from typing import Final

from entrepot.oci import RequestInvalid

CHARACTERS_AT_MOST: Final = 2048

_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
"""One slash, not two, then printable ASCII without spaces and backslashes: browsers read ``\\`` as ``/``."""


class ReturnPathInvalid(RequestInvalid):
    """``return_to`` is no path of this registry."""

    message = "return_to wants a path of this registry that begins with one slash"


def parse_return_path(text: str) -> str:
    """The path, with its query if there is one; raises ReturnPathInvalid."""
    if len(text) > CHARACTERS_AT_MOST or not _PATH.fullmatch(text):
        raise ReturnPathInvalid(characters_at_most=CHARACTERS_AT_MOST)
    return text
