"""The rotation of signing keys, on both databases."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlalchemy import update

from entrepot.access import Keyring, SealInvalid
from entrepot.access.keyring import OVERLAP
from entrepot.metadata import Database, Transaction, list_signing_keys, open_database
from entrepot.metadata.access_tables import signing_keys

EVERY = timedelta(days=30)
VERIFY_FOR = timedelta(days=7)
KEY_FILE = b"k" * 32


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database, None]:
    """A fresh database."""
    opened = open_database(url)
    yield opened
    await opened.close()


async def age(database: Database, by: timedelta) -> None:
    """Let every key be older."""

    def unit(tx: Transaction) -> None:
        for key in list_signing_keys(tx):
            tx.execute(
                update(signing_keys)
                .where(signing_keys.c.kid == key.kid)
                .values(
                    created_at=key.created_at - by,
                    signs_from=key.signs_from - by,
                    retired_at=None if key.retired_at is None else key.retired_at - by,
                )
            )

    await database.write(unit)


async def kids(keyring: Keyring) -> list[str]:
    """The ids of the stored keys, newest first."""
    return [timed.key.kid for timed in await keyring.load()]


async def test_a_rotation_is_published_before_it_signs(database: Database) -> None:
    """After its time a key gets a successor, which everyone hears of an hour before it signs."""
    keyring = Keyring(database, None, VERIFY_FOR)
    (first,) = await kids(keyring)
    assert (await keyring.rotate(EVERY)).made is None

    await age(database, EVERY - OVERLAP)
    rotation = await keyring.rotate(EVERY)

    keys = await keyring.open()
    assert keys.signing.kid == first
    assert [key.kid for key in keys.verifying] == [rotation.made, first]
    await age(database, OVERLAP)
    assert (await keyring.open()).signing.kid == rotation.made


async def test_processes_that_rotate_at_once_make_one_key(database: Database) -> None:
    """Eight rotations at the same time: one next key."""
    keyring = Keyring(database, None, VERIFY_FOR)
    await keyring.load()
    await age(database, EVERY)

    rotations = await asyncio.gather(*(keyring.rotate(EVERY) for _ in range(8)))

    made = [rotation.made for rotation in rotations if rotation.made is not None]
    assert len(made) == 1
    assert (await kids(keyring))[0] == made[0]
    assert len(await kids(keyring)) == 2


async def test_processes_that_start_at_once_have_one_first_key(database: Database) -> None:
    """Eight first starts at the same time: one key."""
    keyrings = [Keyring(database, None, VERIFY_FOR) for _ in range(8)]
    found = await asyncio.gather(*map(kids, keyrings))
    assert len({tuple(one) for one in found}) == 1
    assert len(found[0]) == 1


async def test_a_retired_key_is_forgotten_after_its_time(database: Database) -> None:
    """It verifies as long as an upload session may stand for its tokens, then its row goes."""
    keyring = Keyring(database, None, VERIFY_FOR)
    (first,) = await kids(keyring)
    await age(database, EVERY)
    made = (await keyring.rotate(EVERY)).made

    await age(database, OVERLAP + VERIFY_FOR - timedelta(minutes=1))
    assert (await keyring.rotate(EVERY)).forgotten == ()
    assert (await keyring.open()).find(first) is not None

    await age(database, timedelta(minutes=2))
    assert (await keyring.open()).find(first) is None
    assert (await keyring.rotate(EVERY)).forgotten == (first,)
    assert await kids(keyring) == [made]


async def test_a_key_that_became_known_is_replaced_at_once(database: Database) -> None:
    """A replacement signs now, and no other key is left."""
    keyring = Keyring(database, None, VERIFY_FOR)
    before = await kids(keyring)
    replaced = await keyring.replace()

    assert list(replaced.forgotten) == before
    assert await kids(keyring) == [replaced.made]
    assert (await keyring.open()).signing.kid == replaced.made


async def test_keys_are_sealed_with_the_key_file(database: Database) -> None:
    """Every stored key, also a rotated one, opens with the key file alone."""
    keyring = Keyring(database, KEY_FILE, VERIFY_FOR)
    await keyring.load()
    await age(database, EVERY)
    await keyring.rotate(EVERY)

    stored = await database.read(list_signing_keys)
    assert len(stored) == 2
    assert not any(b'"d"' in one.sealed for one in stored)
    for other in (None, b"x" * 32):
        with pytest.raises(SealInvalid):
            await Keyring(database, other, VERIFY_FOR).load()
