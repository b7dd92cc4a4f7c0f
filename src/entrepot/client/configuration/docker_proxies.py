"""Proxies out of docker's ``config.json`` (docker CLI, "Use a proxy server with the Docker CLI")."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from entrepot.client.errors import ConfigurationInvalid

_BYTES_AT_MOST: Final = 4 * 1024 * 1024
_KEYS: Final = {"httpProxy": "http", "httpsProxy": "https", "allProxy": "all", "noProxy": "no"}


def read_proxies(path: Path) -> Mapping[str, str]:
    """The default proxies by ``http``, ``https``, ``all``, and under ``no`` the hosts without one.

    As variables of the environment have them. Nothing for a file that is not there; raises ConfigurationInvalid.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_BYTES_AT_MOST) or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationInvalid(str(path), reason="unreadable", evidence=[error.strerror or str(error)]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationInvalid(str(path), reason="json", cause="it is no JSON") from error
    try:
        found = (document.get("proxies") or {}).get("default") or {}
        return {name: str(found[key]) for key, name in _KEYS.items() if found.get(key)}
    except (AttributeError, TypeError) as error:
        raise ConfigurationInvalid(f"{path}: proxies", reason="value", cause="it is no JSON object") from error
