"""Where a client keeps what it needs to go on after it was ended (XDG Base Directory Specification)."""

import os
import tempfile
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/entrepot``, by default ``~/.local/state/entrepot``."""
    return _base("XDG_STATE_HOME", Path(".local") / "state") / "entrepot"


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/entrepot``, by default ``~/.cache/entrepot``."""
    return _base("XDG_CACHE_HOME", Path(".cache")) / "entrepot"


def _base(variable: str, default: Path) -> Path:
    home = os.environ.get(variable, "")
    # The specification says that relative paths are to be ignored.
    return Path(home) if Path(home).is_absolute() else Path.home() / default


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner only; raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    made = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
