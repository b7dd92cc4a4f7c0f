"""Hashes of passwords, renewed while the password is at hand: at a login with it."""

import logging

from entrepot.access.passwords import Passwords
from entrepot.access.port import StoredUser, Users
from entrepot.oci import RegistryError
from entrepot.secrets import Secret

logger = logging.getLogger(__name__)


class RenewHashes:
    """Gives users whose hash is by bcrypt, or has other parameters than those of now, one by Argon2id.

    Whatever goes wrong, the login counts: the next one tries again. Many logins at once renew once.
    """

    def __init__(self, users: Users, passwords: Passwords) -> None:
        self._users = users
        self._passwords = passwords
        self._in_hand: set[str] = set()

    async def __call__(self, user: StoredUser, password: Secret) -> None:
        """Renew the hash of a user whose password was verified just now, if it is to be renewed."""
        if user.id in self._in_hand or not self._passwords.is_outdated(user, password):
            return
        self._in_hand.add(user.id)
        try:
            await self._users.renew_hash(user, await self._passwords.hash(password))
        except RegistryError as error:
            logger.warning("the hash of a password could not be renewed: %s", error, extra={"user": user.id})
        finally:
            self._in_hand.discard(user.id)
