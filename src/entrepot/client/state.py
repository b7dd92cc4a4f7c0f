"""Where a client keeps what it needs to go on after it was ended (XDG Base Directory Specification)."""

import os
import tempfile
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/entrepot``, by default ``~/.local/state/entrepot``."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # The specification says that relative paths are to be ignored.
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / "entrepot"


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
