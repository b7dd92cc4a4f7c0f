"""Passwords: made, hashed with Argon2id, and verified away from the event loop."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from argon2 import Parameters, PasswordHasher, Type, extract_parameters
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from entrepot.access.bcrypt_hashes import BCRYPT_PASSWORD_BYTES, bcrypt_cost, bcrypt_matches, spend_bcrypt
from entrepot.access.lru import Recent
from entrepot.access.port import Clock, StoredUser
from entrepot.oci import RequestInvalid, TooManyRequests, Unavailable
from entrepot.secrets import Secret

PASSWORD_BYTES_AT_MOST = 4096  # what is hashed is bounded; a key file given as the password fits
NICENESS = 0  # of the threads that hash; a tenth of the share of a thread that serves
THREADS = 2  # each verification takes the memory of the parameters, 64 MiB by RFC 9106
WAITING_AT_MOST = 64  # at about 100 ms each and two at once, the last one waits for three seconds
VERIFIED_FOR = timedelta(minutes=5)  # how long a verified password is not hashed again
VERIFIED_AT_MOST = 4096  # entries of about 100 bytes
ARGON2_LANE_KIBIBYTES = 8  # the least that it computes with (RFC 9106 section 3.1)

_ALPHABET = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"  # without 0 O 1 l I
_GENERATED_CHARACTERS = 24  # 139 bits with 56 characters to choose from

Result = TypeVar("Result")


def generate_password() -> Secret:
    """A new password of more than 128 bits that may stand in a URL and be read aloud."""
    return Secret("".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_CHARACTERS)))


class Passwords:
    """Hashes and verifies passwords in a few threads of its own, with a bounded number of waiting callers.

    A password that was verified is remembered for a short time by a hash under a key that only this process has; the
    stored hash is part of it, so a new password ends it at once. Refusals are never remembered. The same credentials
    sent many times at once (a cluster that restarts) are verified once.

    Hashes by bcrypt are believed, too, and are to be renewed. As long as there may be some, who does not exist costs
    what the most expensive of them does that this process has met.

    Belongs to one event loop. ``close`` ends the threads.
    """

    def __init__(
        self,
        parameters: Parameters = RFC_9106_LOW_MEMORY,
        *,
        threads: int = THREADS,
        waiting_at_most: int = WAITING_AT_MOST,
        verified_for: timedelta = VERIFIED_FOR,
        verified_at_most: int = VERIFIED_AT_MOST,
        clock: Clock = time.monotonic,
    ) -> None:
        self._parameters = parameters
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix="entrepot-passwords", initializer=_yield_to_others
        )
        self._in_hand_at_most = threads + waiting_at_most
        self._in_hand = 0
        self._in_hand_lock = threading.Lock()  # futures end in the executor's threads
        self._key = secrets.token_bytes(32)
        self._verified_for = verified_for.total_seconds()
        self._verified: Recent[bytes, float] = Recent(verified_at_most)
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._clock = clock
        self._hash_of_nobody = _hash_of_nobody(parameters)
        self._bcrypt_cost: int | None = None  # the highest that was met

    async def hash(self, password: Secret) -> str:
        """Argon2's encoded hash of a new password.

        Raises RequestInvalid for one that is empty, too long or not Unicode, TooManyRequests when too many wait.
        """
        content = _encoded(password)
        if not content:
            raise RequestInvalid(reason="password", bytes_at_most=PASSWORD_BYTES_AT_MOST)
        return await asyncio.wrap_future(self._submit(lambda: _hash(self._hasher, content)))

    def remembers(self, name: str, user: StoredUser, password: Secret) -> bool:
        """Whether ``password`` was verified as that of ``user`` a short time ago, and is by what is stored now."""
        content = _encoded(password)
        if content is None or user.disabled or user.password_hash is None:
            return False
        until = self._verified.get(self._key_of(name, user.id, user.password_hash, content))
        return until is not None and self._clock() < until

    async def verify(self, name: str, user: StoredUser | None, password: Secret) -> bool:
        """Whether ``password`` is that of ``user``, who was found (or not) under ``name``.

        Nobody, a disabled user and one without a password cost the same time as a wrong password, and the answer is
        the same. Raises TooManyRequests when too many wait, Unavailable when the host cannot hash now.
        """
        content = _encoded(password)
        if content is None:
            return False
        stored = None if user is None or user.disabled else user.password_hash
        key = self._key_of(name, "" if user is None else user.id, stored or "", content)
        now = self._clock()
        until = self._verified.get(key)
        if until is not None:
            if now < until:
                return True
            self._verified.drop(key)
        if stored is not None and (cost := bcrypt_cost(stored)) is not None:
            self._bcrypt_cost = max(cost, self._bcrypt_cost or cost)
        running = self._running.get(key)
        if running is None:
            running = asyncio.wrap_future(self._submit(lambda: self._verify(stored, content)))
            self._running[key] = running
            running.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(running)

    def is_outdated(self, user: StoredUser, password: Secret) -> bool:
        """Whether the password, which was verified, is to be hashed anew: by Argon2id, with the parameters of now.

        Not one that bcrypt has cut off: what its hash does not cover may have been mistyped.
        """
        if user.password_hash is None:
            return False
        if bcrypt_cost(user.password_hash) is None:
            return _is_argon2id(user.password_hash) and extract_parameters(user.password_hash) != self._parameters
        return len(_encoded(password) or b"") <= BCRYPT_PASSWORD_BYTES

    def close(self) -> None:
        """End the threads after what they do now; what still waits is cancelled."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _finish(self, key: bytes, done: "asyncio.Future[bool]") -> None:
        del self._running[key]
        if not done.cancelled() and done.exception() is None and done.result():
            self._verified.put(key, self._clock() + self._verified_for)

    def _key_of(self, name: str, user_id: str, stored: str, content: bytes) -> bytes:
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (*(text.encode("utf-8", "surrogatepass") for text in (name, user_id, stored)), content):
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.digest()

    def _submit(self, work: Callable[[], Result]) -> "Future[Result]":
        """Hand work to the threads, unless too much is in hand already."""
        with self._in_hand_lock:
            if self._in_hand >= self._in_hand_at_most:
                raise TooManyRequests(reason="logins")
            self._in_hand += 1
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            self._leave()
            raise Unavailable(reason="closing") from None
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: "Future[Result] | None" = None) -> None:
        with self._in_hand_lock:
            self._in_hand -= 1

    def _verify(self, stored: str | None, content: bytes) -> bool:
        """Compare in this thread; on every way that ends in a refusal the same is computed."""
        cost = None if stored is None else bcrypt_cost(stored)
        if stored is not None and cost is not None and bcrypt_matches(stored, content):
            return True
        genuine = stored is not None and _is_argon2id(stored)
        if self._matches(stored if stored is not None and genuine else self._hash_of_nobody, content):
            return genuine
        if stored is not None and genuine:
            self._spend_argon2(extract_parameters(stored), content)
        self._spend_bcrypt(cost, content)
        return False

    def _matches(self, stored: str, content: bytes) -> bool:
        try:
            return self._hasher.verify(stored, content)
        except VerifyMismatchError:
            return False
        except VerificationError:
            raise Unavailable(reason="password-hashing") from None

    def _spend_argon2(self, spent: Parameters, content: bytes) -> None:
        """Fill what a cheaper hash than ours has cost up to what ours costs; memory times passes is what counts."""
        ours = self._parameters
        rest = ours.memory_cost - spent.memory_cost * spent.time_cost // ours.time_cost
        if rest >= ARGON2_LANE_KIBIBYTES * ours.parallelism:
            _hash(PasswordHasher.from_parameters(replace(ours, memory_cost=rest)), content)

    def _spend_bcrypt(self, cost: int | None, content: bytes) -> None:
        """Compute with bcrypt until it makes as much as its highest cost, of which ``cost`` has been computed."""
        highest = self._bcrypt_cost
        if highest is None:
            return
        for rest in [highest] if cost is None else range(cost, highest):  # 2^c + 2^c + 2^(c+1) + … = 2^highest
            spend_bcrypt(content, rest)


def _yield_to_others() -> None:
    """Let the event loop go first: hashing keeps every core busy. Argon2's own threads inherit it on Linux."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _encoded(password: Secret) -> bytes | None:
    """The bytes that are hashed; None for what can be nobody's password."""
    try:
        content = password.reveal().encode()
    except UnicodeEncodeError:
        return None
    return content if len(content) <= PASSWORD_BYTES_AT_MOST else None


def _hash(hasher: PasswordHasher, content: bytes) -> str:
    try:
        return hasher.hash(content)
    except HashingError:
        raise Unavailable(reason="password-hashing") from None


def _is_argon2id(stored: str) -> bool:
    try:
        return extract_parameters(stored).type is Type.ID
    except InvalidHashError:
        return False


def _hash_of_nobody(parameters: Parameters) -> str:
    """An encoded hash that costs what the others do and that no password has: its digest is random itself."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (parameters.salt_len, parameters.hash_len)
    )
    costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v={parameters.version}${costs}${salt}${digest}"
