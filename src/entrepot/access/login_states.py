"""Logins that were begun here and end at whichever process the answer comes to."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from entrepot.access.key_set import KeySet
from entrepot.metadata import Database, add_login_state, find_login_state, take_login_state
from entrepot.oci import TooManyRequests
from entrepot.secrets import Secret

WAITING_AT_MOST: Final = 10_000  # logins that nobody has finished yet, of strangers too; some kilobytes each

Kind: TypeAlias = Literal["code", "device"]


@dataclass(frozen=True, slots=True)
class LoginStates:
    """Keeps what a login needs until it ends, sealed, under the hash of a secret that only its beginner has."""

    database: Database
    keys: KeySet

    async def keep(self, kind: Kind, key: Secret, content: Mapping[str, str], lifetime: timedelta) -> None:
        """Keep a login that was begun; raises TooManyRequests when too many wait."""
        sealed = self.keys.seal(json.dumps(dict(content)).encode(), purpose=_purpose(kind))
        uid = _uid(key)
        if not await self.database.write(lambda tx: add_login_state(tx, uid, kind, sealed, lifetime, WAITING_AT_MOST)):
            raise TooManyRequests(reason="logins")

    async def find(self, kind: Kind, key: Secret) -> Mapping[str, str] | None:
        """What was kept under this key; None for what is not there, or over."""
        uid = _uid(key)
        return self._opened(kind, await self.database.read(lambda tx: find_login_state(tx, uid, kind)))

    async def take(self, kind: Kind, key: Secret) -> Mapping[str, str] | None:
        """Likewise, once: of all who ask, one gets it."""
        uid = _uid(key)
        return self._opened(kind, await self.database.write(lambda tx: take_login_state(tx, uid, kind)))

    def _opened(self, kind: Kind, sealed: bytes | None) -> Mapping[str, str] | None:
        if sealed is None:
            return None
        content: dict[str, str] = json.loads(self.keys.unseal(bytes(sealed), purpose=_purpose(kind)))
        return content


def _uid(key: Secret) -> str:
    return hashlib.sha256(key.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def _purpose(kind: Kind) -> str:
    return f"login {kind}"
