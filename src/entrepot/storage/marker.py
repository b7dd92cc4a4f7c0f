"""The file that tells a store's directory from the empty mount point of a disk that is not there."""

import os
from pathlib import Path
from typing import Final

from entrepot.storage.errors import StoreEmpty
from entrepot.storage.files import keys_below

MARKER: Final = "entrepot-store"

_TEXT: Final = b"This directory is an entrepot store. Without this file it is taken for a disk that is not mounted.\n"


def mark(root: Path, *, objects_on_record: bool) -> None:
    """Put the marker durably into a store that is new or has objects already; what is marked stays as it is.

    Raises StoreEmpty where ``objects_on_record`` should be and nothing is; OSError.
    """
    marker = root / MARKER
    if marker.exists():
        return
    if objects_on_record and next(keys_below(root, root), None) is None:
        raise StoreEmpty
    with marker.open("wb") as file:
        file.write(_TEXT)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
