"""Key files: a robot's name and secret as one JSON document, given as the password of ``_json_key``."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from entrepot.oci import Unauthorized
from entrepot.secrets import Secret

JSON_KEY: Final = "_json_key"
"""The user name that says that the password is a key file; that of Google's registries, which tools know."""

_TYPE: Final = "entrepot_robot"
_FIELDS: Final = ("type", "username", "secret")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Whose secret it is."""

    username: str
    secret: Secret

    @classmethod
    def parse(cls, document: Secret) -> "KeyFile":
        """Read a document; raises Unauthorized, reason ``key-file``, with the ``field`` that is wrong."""
        try:
            fields: Any = json.loads(document.reveal())
        except (ValueError, RecursionError):
            raise Unauthorized(reason="key-file", field="$") from None
        if not isinstance(fields, dict):
            raise Unauthorized(reason="key-file", field="$")
        for name in _FIELDS:
            if not isinstance(fields.get(name), str):
                raise Unauthorized(reason="key-file", field=name)
        if fields["type"] != _TYPE:
            raise Unauthorized(reason="key-file", field="type")
        return cls(fields["username"], Secret(fields["secret"]))

    def render(self, registry: str | None, created_at: datetime, expires_at: datetime | None) -> str:
        """The document, for ``docker login -u _json_key --password-stdin``; ``registry`` is its public URL."""
        document = {
            "type": _TYPE,
            "registry": registry,
            "username": self.username,
            "secret": self.secret.reveal(),
            "created_at": created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "expires_at": None if expires_at is None else expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return json.dumps(document, indent=2) + "\n"
