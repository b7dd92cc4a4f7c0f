"""Passwords: hashed with Argon2id off the loop, remembered briefly, and alike for whoever does not exist."""

import asyncio
import threading
from collections.abc import Awaitable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import bcrypt
import pytest
from argon2 import Parameters, PasswordHasher, Type, extract_parameters
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.access import Passwords, Secret, StoredUser
from entrepot.access.bcrypt_hashes import spend_bcrypt
from entrepot.access.passwords import PASSWORD_BYTES_AT_MOST
from entrepot.oci import RequestInvalid, TooManyRequests, Unavailable

HASHER = PasswordHasher.from_parameters(CHEAPEST)
RIGHT = Secret("correct horse")
WRONG = Secret("wrong horse")
ANN = StoredUser("u1", "ann", HASHER.hash(RIGHT.reveal()), is_admin=False, disabled=False)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


class Gauge:
    """Watches every computation of a hash, and can hold them back; otherwise they are real."""

    def __init__(self, passwords: Passwords) -> None:
        self.computed: list[str] = []
        self.threads: set[int] = set()
        self.now = self.most = 0
        self.open = threading.Event()
        self.open.set()
        self._changed = threading.Condition()
        self._hasher = passwords._hasher
        passwords._hasher = self  # type: ignore[assignment]

    def verify(self, stored: str, content: bytes) -> bool:
        """Like the hasher's."""
        with self._watching(stored):
            return self._hasher.verify(stored, content)

    def hash(self, content: bytes) -> str:
        """Like the hasher's."""
        with self._watching(""):
            return self._hasher.hash(content)

    async def until_busy(self, count: int) -> None:
        """Return when so many hashes are being computed."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self.now == count, timeout=30)

        assert await asyncio.to_thread(wait)

    @contextmanager
    def _watching(self, stored: str) -> Generator[None]:
        with self._changed:
            self.computed.append(stored)
            self.threads.add(threading.get_ident())
            self.now += 1
            self.most = max(self.most, self.now)
            self._changed.notify_all()
        try:
            assert self.open.wait(30)
            yield
        finally:
            with self._changed:
                self.now -= 1


@pytest.fixture
def clock() -> Clock:
    """The time that counts for what is remembered."""
    return Clock()


@pytest.fixture
def passwords(clock: Clock) -> Iterator[Passwords]:
    """Passwords with parameters that cost nearly nothing."""
    made = Passwords(CHEAPEST, waiting_at_most=4, clock=clock)
    yield made
    made.close()


@pytest.fixture
def gauge(passwords: Passwords) -> Gauge:
    """What counts the hashes that are computed."""
    return Gauge(passwords)


async def test_a_hash_is_verified(passwords: Passwords) -> None:
    """The password that was hashed is right, any other is wrong, and equal passwords have different hashes."""
    stored = await passwords.hash(RIGHT)
    user = replace(ANN, password_hash=stored)

    assert stored.startswith("$argon2id$")
    assert RIGHT.reveal() not in stored
    assert stored != await passwords.hash(RIGHT)
    assert await passwords.verify("ann", user, RIGHT)
    assert not await passwords.verify("ann", user, WRONG)
    assert not await passwords.verify("ann", user, Secret(""))
    assert not await passwords.verify("ann", user, Secret(RIGHT.reveal() + "\x00"))


async def test_the_default_parameters_are_those_of_the_rfc() -> None:
    """Without other parameters a hash costs what RFC 9106 section 4 recommends second."""
    made = Passwords()
    try:
        found = extract_parameters(await made.hash(RIGHT))
    finally:
        made.close()
    assert found == RFC_9106_LOW_MEMORY
    assert (found.type, found.memory_cost) == (Type.ID, 65536)


@settings(deadline=None)
@given(password=st.text(min_size=1, max_size=40))
def test_any_unicode_password_works(password: str) -> None:
    """NUL, controls, emoji: whatever can be encoded is a password, as it was typed."""

    async def round_trip() -> None:
        made = Passwords(CHEAPEST, threads=1)
        try:
            user = replace(ANN, password_hash=await made.hash(Secret(password)))
            assert await made.verify("ann", user, Secret(password))
            assert not await made.verify("ann", user, Secret(password + "x"))
        finally:
            made.close()

    if password.isascii() or not any("\ud800" <= character <= "\udfff" for character in password):
        asyncio.run(round_trip())


@pytest.mark.parametrize("password", ["", "x" * (PASSWORD_BYTES_AT_MOST + 1), "\u00fc" * 2049, "a\udc80"])
async def test_unacceptable_passwords_are_not_hashed(passwords: Passwords, gauge: Gauge, password: str) -> None:
    """Empty, too long and not Unicode: refused as a new password, wrong as an old one, without any work."""
    with pytest.raises(RequestInvalid):
        await passwords.hash(Secret(password))
    if password:
        assert not await passwords.verify("ann", ANN, Secret(password))
    assert gauge.computed == []


async def test_the_longest_password_is_taken(passwords: Passwords) -> None:
    """The cap itself is allowed."""
    longest = Secret("x" * PASSWORD_BYTES_AT_MOST)
    assert await passwords.verify("ann", replace(ANN, password_hash=await passwords.hash(longest)), longest)


@pytest.mark.parametrize(
    "user",
    [
        None,
        replace(ANN, disabled=True),
        replace(ANN, password_hash=None),
        replace(ANN, password_hash=""),
        replace(ANN, password_hash="correct horse"),
        replace(ANN, password_hash=PasswordHasher.from_parameters(replace(CHEAPEST, type=Type.I)).hash(RIGHT.reveal())),
    ],
    ids=["unknown", "disabled", "without", "empty", "plain", "another-kind"],
)
async def test_whoever_cannot_log_in_costs_the_same(
    passwords: Passwords, gauge: Gauge, user: StoredUser | None
) -> None:
    """One hash with the same parameters is computed, as for a wrong password, and the answer is the same."""
    for attempt in (1, 2):
        assert not await passwords.verify("ann", user, RIGHT)
        assert len(gauge.computed) == attempt
        assert extract_parameters(gauge.computed[-1]) == CHEAPEST


@pytest.mark.parametrize(
    "parameters", [CHEAPEST, replace(CHEAPEST, time_cost=2, parallelism=2, memory_cost=64, hash_len=32, salt_len=24)]
)
async def test_nobodys_hash_has_the_parameters_of_the_others(parameters: Parameters) -> None:
    """What an unknown user is compared with costs what a known one does, and is a well-formed hash."""
    made = Passwords(parameters)
    gauge = Gauge(made)
    try:
        assert not await made.verify("nobody", None, RIGHT)
    finally:
        made.close()
    assert extract_parameters(gauge.computed[0]) == parameters


async def test_a_verified_password_is_remembered(passwords: Passwords, gauge: Gauge, clock: Clock) -> None:
    """For five minutes the same password of the same user is not hashed again; then it is."""
    for _ in range(3):
        assert await passwords.verify("ann", ANN, RIGHT)
    assert len(gauge.computed) == 1

    clock.now += 299
    assert await passwords.verify("ann", ANN, RIGHT)
    assert len(gauge.computed) == 1

    clock.now += 1
    assert await passwords.verify("ann", ANN, RIGHT)
    assert len(gauge.computed) == 2


async def test_refusals_are_not_remembered(passwords: Passwords, gauge: Gauge) -> None:
    """A wrong password is hashed each time, and makes no entry."""
    for _ in range(3):
        assert not await passwords.verify("ann", ANN, WRONG)
    assert len(gauge.computed) == 3
    assert len(passwords._verified) == 0
    assert passwords._running == {}


async def test_a_remembered_password_ends_with_its_hash(passwords: Passwords) -> None:
    """After a change of password, or when the user is disabled, what was remembered is worth nothing."""
    assert await passwords.verify("ann", ANN, RIGHT)
    changed = replace(ANN, password_hash=HASHER.hash("new"))

    assert not await passwords.verify("ann", changed, RIGHT)
    assert not await passwords.verify("ann", replace(ANN, disabled=True), RIGHT)
    assert not await passwords.verify("ann", replace(ANN, password_hash=None), RIGHT)
    assert not await passwords.verify("ann", None, RIGHT)
    assert await passwords.verify("ann", changed, Secret("new"))


async def test_a_remembered_password_is_one_users(passwords: Passwords, gauge: Gauge) -> None:
    """What is remembered for one user is not believed of another, even with the same hash."""
    assert await passwords.verify("ann", ANN, RIGHT)
    assert await passwords.verify("bob", replace(ANN, id="u2", name="bob"), RIGHT)
    assert len(gauge.computed) == 2


async def test_what_is_remembered_is_bounded_and_no_password(clock: Clock) -> None:
    """Only so many entries are kept, under keys from which nothing can be read and that differ per process."""
    first, second = (Passwords(CHEAPEST, verified_at_most=3, clock=clock) for _ in range(2))
    try:
        for number in range(8):
            user = replace(ANN, id=f"u{number}")
            assert await first.verify("ann", user, RIGHT)
            assert await second.verify("ann", user, RIGHT)
        keys = set(first._verified._entries)
        assert len(keys) == 3
        assert {len(key) for key in keys} == {32}
        assert not keys & set(second._verified._entries)
    finally:
        first.close()
        second.close()


async def test_the_time_of_remembering_can_be_set(clock: Clock) -> None:
    """A shorter time is kept."""
    made = Passwords(CHEAPEST, verified_for=timedelta(seconds=1), clock=clock)
    gauge = Gauge(made)
    try:
        assert await made.verify("ann", ANN, RIGHT)
        clock.now += 1
        assert await made.verify("ann", ANN, RIGHT)
    finally:
        made.close()
    assert len(gauge.computed) == 2


async def test_hashing_leaves_the_event_loop_alone(passwords: Passwords, gauge: Gauge) -> None:
    """Hashes are computed in other threads; while one is held up the loop goes on."""
    gauge.open.clear()
    login = asyncio.create_task(passwords.verify("ann", ANN, RIGHT))
    await gauge.until_busy(1)
    assert not login.done()

    gauge.open.set()

    assert await login
    assert threading.get_ident() not in gauge.threads


async def test_few_are_hashed_at_once_and_few_wait(passwords: Passwords, gauge: Gauge) -> None:
    """Two are computed, four wait, and the seventh is sent away; afterwards there is room again."""
    gauge.open.clear()
    logins = [asyncio.create_task(passwords.verify(f"user{number}", None, WRONG)) for number in range(6)]
    await gauge.until_busy(2)

    with pytest.raises(TooManyRequests) as refusal:
        await passwords.verify("user6", None, WRONG)
    with pytest.raises(TooManyRequests):
        await passwords.hash(RIGHT)
    gauge.open.set()

    assert refusal.value.detail == {"reason": "logins"}
    assert await asyncio.gather(*logins) == [False] * 6
    assert gauge.most == 2
    assert await passwords.verify("ann", ANN, RIGHT)


async def test_remembered_passwords_pass_while_others_wait(passwords: Passwords, gauge: Gauge) -> None:
    """Whoever was verified a moment ago is not held up by a flood of logins."""
    assert await passwords.verify("ann", ANN, RIGHT)
    gauge.open.clear()
    flood = [asyncio.create_task(passwords.verify(f"user{number}", None, WRONG)) for number in range(6)]
    await gauge.until_busy(2)

    assert await passwords.verify("ann", ANN, RIGHT)

    gauge.open.set()
    await asyncio.gather(*flood)


@pytest.mark.parametrize(("user", "password"), [(ANN, RIGHT), (ANN, WRONG), (None, RIGHT)])
async def test_the_same_login_many_times_is_computed_once(
    passwords: Passwords, gauge: Gauge, user: StoredUser | None, password: Secret
) -> None:
    """A cluster that restarts sends one password five hundred times at once: one hash, known user or not."""
    gauge.open.clear()
    logins = [asyncio.create_task(passwords.verify("ann", user, password)) for _ in range(500)]
    await gauge.until_busy(1)
    gauge.open.set()

    assert await asyncio.gather(*logins) == [user is ANN and password is RIGHT] * 500
    assert len(gauge.computed) == 1


async def test_whoever_gives_up_takes_nobody_along(passwords: Passwords, gauge: Gauge) -> None:
    """Of two who wait for the same verification one may leave; the other is answered, and the room is free again."""
    gauge.open.clear()
    leaver, stayer = (asyncio.create_task(passwords.verify("ann", ANN, RIGHT)) for _ in range(2))
    await gauge.until_busy(1)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    gauge.open.set()

    assert await stayer
    passwords.close()
    assert passwords._in_hand == 0


async def test_a_cancelled_hash_gives_its_place_back(passwords: Passwords, gauge: Gauge) -> None:
    """Callers who leave, running or waiting, do not use up the places for ever."""
    gauge.open.clear()
    tasks = [asyncio.create_task(passwords.hash(RIGHT)) for _ in range(6)]
    await gauge.until_busy(2)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    gauge.open.set()

    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    passwords.close()
    assert passwords._in_hand == 0
    assert len(gauge.computed) == 2


async def test_a_damaged_hash_denies(passwords: Passwords) -> None:
    """A stored hash that Argon2 cannot read in full is no wrong password but a failure; nobody is let in."""
    assert ANN.password_hash is not None
    with pytest.raises(Unavailable):
        await passwords.verify("ann", replace(ANN, password_hash=ANN.password_hash[:-1] + "!"), RIGHT)
    assert await passwords.verify("ann", ANN, RIGHT)


async def test_after_closing_nobody_is_verified() -> None:
    """A process that ends answers that it cannot, instead of waiting."""
    made = Passwords(CHEAPEST)
    made.close()
    with pytest.raises(Unavailable):
        await made.verify("ann", ANN, RIGHT)
    assert made._in_hand == 0


BCRYPT = replace(ANN, password_hash=bcrypt.hashpw(RIGHT.reveal().encode(), bcrypt.gensalt(5)).decode())


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The costs of bcrypt that are computed for nothing but their time, which they take."""
    costs: list[int] = []

    def spend(password: bytes, cost: int) -> None:
        costs.append(cost)
        spend_bcrypt(password, cost)

    monkeypatch.setattr("entrepot.access.passwords.spend_bcrypt", spend)
    return costs


@pytest.mark.parametrize("version", ["$2a$", "$2b$", "$2y$"])
async def test_a_hash_by_bcrypt_is_verified(passwords: Passwords, version: str) -> None:
    """Whatever the program that made it calls its version: the right password is right, and others are not."""
    assert BCRYPT.password_hash is not None
    user = replace(BCRYPT, password_hash=BCRYPT.password_hash.replace("$2b$", version))

    assert await passwords.verify("ann", user, RIGHT)
    assert not await passwords.verify("ann", user, WRONG)
    assert not await passwords.verify("ann", user, Secret(""))
    assert not await passwords.verify("ann", user, Secret(RIGHT.reveal() + "\x00"))
    assert not await passwords.verify("ann", replace(user, disabled=True), RIGHT)


@pytest.mark.parametrize(
    ("stored", "password"),
    [
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"),
        (
            "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
        ),
    ],
)
async def test_hashes_of_other_programs_are_verified(passwords: Passwords, stored: str, password: str) -> None:
    """The published vectors of the C implementation that htpasswd has, one of them longer than bcrypt reads."""
    user = replace(ANN, password_hash=stored)

    assert await passwords.verify("ann", user, Secret(password))
    assert not await passwords.verify("ann", user, Secret("!" + password))


@pytest.mark.parametrize(
    "stored",
    [
        "$2b$13$" + "." * 53,
        "$2b$31$" + "." * 53,
        "$2b$03$" + "." * 53,
        "$2x$05$" + "." * 53,
        "$2b$05$" + "." * 52,
        "$2b$05$" + "." * 54,
        "$2b$05$" + "." * 52 + "\u00e4",
    ],
)
async def test_what_bcrypt_could_not_bear_is_nobodys_hash(
    passwords: Passwords, gauge: Gauge, spent: list[int], stored: str
) -> None:
    """A hash that costs too much, or is none, is never computed; it costs what an unknown user does."""
    assert not await passwords.verify("ann", replace(ANN, password_hash=stored), RIGHT)
    assert len(gauge.computed) == 1
    assert spent == []


async def test_refusals_cost_the_same_beside_bcrypt(passwords: Passwords, gauge: Gauge, spent: list[int]) -> None:
    """When a hash by bcrypt was met, each refusal costs one by Argon2 and as much by bcrypt as the dearest one."""
    dear = replace(ANN, password_hash=bcrypt.hashpw(b"dear", bcrypt.gensalt(7)).decode())

    def refusal_of(user: StoredUser | None) -> Awaitable[bool]:
        return passwords.verify("ann", user, WRONG)

    assert not await refusal_of(None)
    assert spent == []
    assert not await refusal_of(dear)
    assert spent == []
    assert not await refusal_of(BCRYPT)
    assert spent == [5, 6]  # beside its own of cost 5: as much as one of cost 7
    for user in (None, ANN, replace(BCRYPT, disabled=True)):
        spent.clear()
        assert not await refusal_of(user)
        assert spent == [7]
    assert len(gauge.computed) == 6


async def test_a_cheaper_argon2id_costs_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password for a hash that was made with less is filled up with as much memory times passes."""
    ours = replace(CHEAPEST, time_cost=2, memory_cost=256)
    filled: list[Parameters] = []

    def fill(hasher: PasswordHasher, content: bytes) -> str:
        filled.append(hasher._parameters)
        return hasher.hash(content)

    monkeypatch.setattr("entrepot.access.passwords._hash", fill)
    made = Passwords(ours)
    try:
        cheaper = PasswordHasher.from_parameters(replace(ours, time_cost=1, memory_cost=64)).hash("another")
        assert not await made.verify("ann", replace(ANN, password_hash=cheaper), WRONG)
    finally:
        made.close()
    assert filled == [replace(ours, memory_cost=256 - 32)]


async def test_bcrypt_cuts_long_passwords_off(passwords: Passwords) -> None:
    """As the programs that made the hash did; such a password is not hashed anew, since its rest was not verified."""
    long = "x" * 72
    user = replace(ANN, password_hash=bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode())

    assert await passwords.verify("ann", user, Secret(long + "whatever"))
    assert not await passwords.verify("ann", user, Secret(long[1:] + "!"))
    assert passwords.is_outdated(user, Secret(long))
    assert not passwords.is_outdated(user, Secret(long + "whatever"))


def test_which_hashes_are_outdated(passwords: Passwords) -> None:
    """Those by bcrypt, and by Argon2id with other parameters; not ours, and not what is no hash at all."""
    other = PasswordHasher.from_parameters(replace(CHEAPEST, time_cost=2)).hash("x")

    assert passwords.is_outdated(BCRYPT, RIGHT)
    assert passwords.is_outdated(replace(ANN, password_hash=other), RIGHT)
    for stored in (ANN.password_hash, None, "", "correct horse"):
        assert not passwords.is_outdated(replace(ANN, password_hash=stored), RIGHT)


async def test_bcrypt_leaves_the_event_loop_alone(passwords: Passwords) -> None:
    """While a hash of the highest cost is compared in another thread, the loop goes on turning."""
    dear = replace(ANN, password_hash=bcrypt.hashpw(RIGHT.reveal().encode(), bcrypt.gensalt(12)).decode())
    login = asyncio.create_task(passwords.verify("ann", dear, RIGHT))
    turns = 0
    while not login.done():
        await asyncio.sleep(0.001)
        turns += 1

    assert await login
    assert turns > 10
