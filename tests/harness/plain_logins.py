"""Programs of the docker family keep logins in a file, whatever credential helpers the machine has."""

import json
from pathlib import Path


def keep_logins_in(file: Path) -> None:
    """Begin docker's ``config.json`` in ``file``, if there is none, with a login for a registry that does not exist.

    Without one such entry docker, oras and helm hand the first login to any helper that they find on the PATH, as
    ``pass``, which fails until somebody has set it up.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"auths": {"nowhere.invalid": {}}}), encoding="utf-8")
