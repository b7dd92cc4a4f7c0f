"""Which key signs and which verify, while keys come and go."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from entrepot.access import KeySet, SealInvalid, SigningKey
from entrepot.access.key_set import ASKED_EVERY, TimedKey
from entrepot.oci import Unavailable

OLD, NOW, NEXT, FOREIGN = (SigningKey.generate() for _ in range(4))
VERIFY_FOR = timedelta(seconds=100)
UNKNOWN = "A" * 43


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


class Stored:
    """Keys as they are stored, counting how often they are read."""

    def __init__(self, *keys: TimedKey) -> None:
        self.keys = list(keys)
        self.reads = 0
        self.reachable = True

    async def load(self) -> Sequence[TimedKey]:
        """Every key."""
        self.reads += 1
        if not self.reachable:
            raise Unavailable(reason="database")
        return self.keys


@pytest.fixture
def clock() -> Clock:
    """The time that the set sees."""
    return Clock()


@pytest.fixture
def stored() -> Stored:
    """A key that retired 50 seconds ago, its successor, and the next one, which begins in 50 seconds."""
    return Stored(TimedKey(NEXT, 1050), TimedKey(NOW, 950, 1050), TimedKey(OLD, 0, 950))


@pytest.fixture
def keys(stored: Stored, clock: Clock) -> KeySet:
    """The set of those."""
    return KeySet(stored.keys, stored.load, verify_for=VERIFY_FOR, clock=clock, monotonic=clock)


def test_one_key_signs_and_all_verify(keys: KeySet) -> None:
    """Tokens are signed by the key whose time it is; those of the last and the next one count too."""
    assert keys.signing is NOW
    assert keys.verifying == [NEXT, NOW, OLD]
    assert [keys.find(key.kid) for key in (NEXT, NOW, OLD, FOREIGN)] == [NEXT, NOW, OLD, None]


def test_the_next_key_takes_over_at_its_time(keys: KeySet, clock: Clock) -> None:
    """Without reading anything again, every process signs with the next key from the same moment on."""
    clock.now = 1049.9
    assert keys.signing is NOW
    clock.now = 1050
    assert keys.signing is NEXT


def test_a_retired_key_counts_for_so_long(keys: KeySet, clock: Clock) -> None:
    """A key is over when what it signed last is over, whether or not its row is still there."""
    clock.now = 1049.9
    assert keys.find(OLD.kid) is OLD
    clock.now = 1050
    assert keys.find(OLD.kid) is None
    assert keys.verifying == [NEXT, NOW]


def test_the_first_key_signs_at_once(clock: Clock) -> None:
    """A database whose clock is ahead of this host's does not leave it without a key."""
    ahead = Stored(TimedKey(NOW, 1005))
    assert KeySet(ahead.keys, ahead.load, verify_for=VERIFY_FOR, clock=clock).signing is NOW


async def test_a_new_key_is_found_when_its_token_comes(keys: KeySet, stored: Stored) -> None:
    """A key that another process has made counts here too, before the set is read by itself."""
    stored.keys.insert(0, TimedKey(FOREIGN, 1000))

    assert await keys.find_or_read(FOREIGN.kid) is FOREIGN
    assert keys.signing is FOREIGN


async def test_made_up_ids_do_not_load_the_database(keys: KeySet, stored: Stored, clock: Clock) -> None:
    """However many unknown ids come, keys are read once in five seconds, and never for what can be no id."""
    for number in range(200):
        assert await keys.find_or_read(f"{number:043}") is None
        assert await keys.find_or_read(f"short{number}") is None
    assert stored.reads == 1

    clock.now += ASKED_EVERY.total_seconds()
    assert await keys.find_or_read(UNKNOWN) is None
    assert stored.reads == 2


async def test_a_key_that_is_over_is_not_looked_for(keys: KeySet, stored: Stored, clock: Clock) -> None:
    """Tokens of a retired key cost no read."""
    clock.now = 1060
    assert await keys.find_or_read(OLD.kid) is None
    assert stored.reads == 0


async def test_a_failing_read_is_no_answer(keys: KeySet, stored: Stored) -> None:
    """When keys cannot be read, an unknown id is a failure, and known keys go on."""
    stored.reachable = False
    with pytest.raises(Unavailable):
        await keys.find_or_read(UNKNOWN)
    assert await keys.find_or_read(NOW.kid) is NOW


def test_what_is_sealed_outlives_a_rotation(keys: KeySet, clock: Clock) -> None:
    """What one key sealed is opened while that key counts, for its purpose and no other."""
    sealed = keys.seal(b"position", purpose="a")
    clock.now = 1060

    assert keys.unseal(sealed, purpose="a") == b"position"
    with pytest.raises(SealInvalid):
        keys.unseal(sealed, purpose="b")
    with pytest.raises(SealInvalid):
        KeySet.of(FOREIGN).unseal(sealed, purpose="a")
