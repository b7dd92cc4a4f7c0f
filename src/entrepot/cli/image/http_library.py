"""Importing the client's HTTP library without what it does at import and nobody needs."""

import importlib
import os
from functools import cache
from typing import Final

_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def import_http_library() -> None:
    """Import aiohttp while the system's authorities cannot be found: reading them takes it a third of its time.

    Every connection of the client brings a context of its own, so the one that aiohttp makes for itself is never used,
    and would trust nobody. For commands only: another thread of a program could look for authorities meanwhile.
    """
    kept = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, os.devnull))
    try:
        importlib.import_module("aiohttp")
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
