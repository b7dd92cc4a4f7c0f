"""Users of a password file, on both databases: who is made, who is kept, and that hashes are renewed."""

from collections.abc import AsyncGenerator, Sequence

import bcrypt
import pytest
from sqlalchemy import select

from entrepot.access import (
    EVERY_REPOSITORY,
    Caller,
    Credential,
    CredentialKind,
    DatabaseUsers,
    HashedUser,
    Principal,
    PrincipalKind,
    Rules,
)
from entrepot.access.administration import (
    Acting,
    ImportedUser,
    ImportOutcome,
    ImportUsers,
    NewRobot,
    Operator,
    Robots,
)
from entrepot.access.administration.import_users import BATCH
from entrepot.metadata import (
    Actor,
    Database,
    NewCredential,
    Transaction,
    add_credential,
    add_external_account,
    add_user,
    find_account_by_name,
    find_credential,
    open_database,
    set_password_hash,
)
from entrepot.metadata.tables import audit
from entrepot.oci import Denied, Unauthorized

BY = Operator(Actor("operator", "0", "root"))
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
ANN = HashedUser(1, "ann", HASH)


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database, None]:
    """A database with the schema, and in it the user ``ann`` with a refresh token."""
    opened = open_database(url)
    refresh = Credential.make(CredentialKind.REFRESH)

    def furnish(tx: Transaction) -> None:
        add_user(tx, "ann", "the hash of before", is_admin=False)
        account = find_account_by_name(tx, "ann")
        assert account is not None
        add_credential(tx, account.id, NewCredential("refresh-of-ann", refresh.kind.value, "", refresh.digest, None))

    await opened.write(furnish)
    yield opened
    await opened.close()


async def hash_of(database: Database, name: str) -> str | None:
    """What is stored of a user's password."""
    found = await DatabaseUsers(database).find_by_name(name)
    assert found is not None
    return found.password_hash


async def audited(database: Database) -> list[tuple[str, str, str]]:
    """What the audit rows say: action, about whom, detail."""
    rows = await database.read(lambda tx: tx.execute(select(audit).order_by(audit.c.id)).all())
    assert all(HASH not in str(row) for row in rows)
    return [(row.action, row.reference, row.detail) for row in rows]


async def is_logged_in(database: Database) -> bool:
    """Whether ann's refresh token is there."""
    return await database.read(lambda tx: find_credential(tx, "refresh-of-ann")) is not None


def outcomes(found: Sequence[ImportedUser]) -> dict[str, str]:
    """What became of each name."""
    return {one.name: one.outcome.value for one in found}


async def test_users_are_made_and_who_is_there_is_kept(database: Database) -> None:
    """A new user gets the hash of the file and no right; one who is there keeps password and logins."""
    imports = ImportUsers(database)
    users = [ANN, HashedUser(2, "bob", HASH)]

    planned = await imports.plan(BY, users, replaces=False)
    assert await audited(database) == []
    imported = await imports(BY, users, replaces=False)
    again = await imports(BY, users, replaces=False)

    assert imported == planned
    assert imported == [
        ImportedUser(1, "ann", ImportOutcome.KEPT),
        ImportedUser(2, "bob", ImportOutcome.ADDED),
    ]
    assert outcomes(again) == {"ann": "kept", "bob": "kept"}
    bob = await DatabaseUsers(database).find_by_name("bob")
    assert bob is not None
    assert (bob.password_hash, bob.is_admin) == (HASH, False)
    assert await hash_of(database, "ann") == "the hash of before"
    assert await is_logged_in(database)
    assert await audited(database) == [("user.add", "bob", '{"admin": 0, "imported": "htpasswd"}')]


async def test_who_is_there_gets_the_password_if_that_is_wanted(database: Database) -> None:
    """Then logins with the password of before end, as with any new password."""
    imported = await ImportUsers(database)(BY, [ANN], replaces=True)

    assert outcomes(imported) == {"ann": "replaced"}
    assert await hash_of(database, "ann") == HASH
    assert not await is_logged_in(database)
    assert await audited(database) == [("user.password", "ann", '{"imported": "htpasswd"}')]


async def test_other_accounts_keep_their_names(database: Database) -> None:
    """A robot and a provider's user are never given a password, whatever is wanted, and some names cannot be."""
    await Robots(database).add(BY, NewRobot("ci", repositories=(EVERY_REPOSITORY,)))
    await database.write(lambda tx: add_external_account(tx, "https://issuer", "1", "eve", is_admin=False))
    before = await audited(database)
    names = ("ci", "eve", "_token", "anonymous", "a b", "a@b")
    users = [HashedUser(line, name, HASH) for line, name in enumerate(names, 1)]

    imported = await ImportUsers(database)(BY, users, replaces=True)

    assert [one.outcome.value for one in imported] == ["robot", "provider", "name", "name", "name", "name"]
    assert await audited(database) == before
    assert await hash_of(database, "eve") is None


async def test_many_are_made_in_batches(database: Database) -> None:
    """More than fit into one transaction are made all the same, each once and with its row in the audit."""
    users = [HashedUser(number + 1, f"user-{number}", HASH) for number in range(BATCH + 1)]

    imported = await ImportUsers(database)(BY, users, replaces=False)

    assert [one.line for one in imported] == [user.line for user in users]
    assert {one.outcome for one in imported} == {ImportOutcome.ADDED}
    assert [name for _, name, _ in await audited(database)] == [user.name for user in users]


async def test_only_administrators_import(database: Database) -> None:
    """A user may neither import nor see what would become of a file; one who is gone even less."""
    account = await database.read(lambda tx: find_account_by_name(tx, "ann"))
    assert account is not None
    imports = ImportUsers(database)
    for uid, refusal in ((account.uid, Denied), ("gone", Unauthorized)):
        caller = Caller(Principal(PrincipalKind.USER, uid, "ann"), None)
        by = Acting(caller, Actor("user", uid, "ann"), Rules(), is_in_person=True)
        with pytest.raises(refusal):
            await imports(by, [ANN], replaces=True)
        with pytest.raises(refusal):
            await imports.plan(by, [ANN], replaces=True)
    assert await hash_of(database, "ann") == "the hash of before"


async def test_a_hash_is_renewed_and_nothing_ends(database: Database) -> None:
    """The hash of the same password takes the place of the old one; logins go on."""
    users = DatabaseUsers(database)
    read = await users.find_by_name("ann")
    assert read is not None

    await users.renew_hash(read, "a newer hash")

    assert await hash_of(database, "ann") == "a newer hash"
    assert await is_logged_in(database)


async def test_a_new_password_is_not_undone(database: Database) -> None:
    """A login with the old password that is still being renewed changes nothing after a change of the password."""
    users = DatabaseUsers(database)
    read = await users.find_by_name("ann")
    assert read is not None
    await database.write(lambda tx: set_password_hash(tx, "ann", "that of a new password"))

    await users.renew_hash(read, "a newer hash of the old password")

    assert await hash_of(database, "ann") == "that of a new password"
