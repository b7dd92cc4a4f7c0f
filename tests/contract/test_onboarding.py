"""Accounts of people whom a provider vouches for, on both databases."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from entrepot.access import AccountNameTaken, Onboarding, Principal, PrincipalKind
from entrepot.access.providers import ExternalIdentity, IdentityRefused
from entrepot.metadata import Database, Transaction, add_user, find_account_by_name, open_database
from entrepot.metadata.access_tables import accounts, group_members, groups
from entrepot.oci import Unauthorized
from harness.robots import disable_account

ISSUER = "https://login.example.com"
ANN = ExternalIdentity(ISSUER, "s-1", "ann", frozenset({"developers", "unknown here"}))


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database, None]:
    """A database with the groups ``developers`` and ``operators``."""
    opened = open_database(url)

    def unit(tx: Transaction) -> None:
        for name in ("developers", "operators"):
            tx.execute(insert(groups).values(uid=secrets.token_hex(16), name=name, description="", created_at=tx.now))

    await opened.write(unit)
    yield opened
    await opened.close()


@pytest.fixture
def log_in(database: Database) -> Onboarding:
    """Logins of a provider that names the administrators."""
    return Onboarding(database, "operators", "oidc")


async def groups_of(database: Database, name: str) -> dict[str, str]:
    """The groups of an account and how it came to them."""

    def unit(tx: Transaction) -> dict[str, str]:
        found = find_account_by_name(tx, name)
        assert found is not None
        rows = tx.execute(
            select(groups.c.name, group_members.c.source)
            .join(group_members, group_members.c.group_id == groups.c.id)
            .where(group_members.c.account_id == found.id)
        )
        return {row.name: row.source for row in rows}

    return await database.read(unit)


async def version_of(database: Database) -> int:
    """The number that moves when rights change."""
    return await database.hot.access_version()


async def test_the_first_login_makes_an_account(database: Database, log_in: Onboarding) -> None:
    """A user without a password, a member of the groups that exist here; the second login is the same account."""
    first, second = await log_in(ANN), await log_in(ANN)

    assert first == second
    assert first == Principal(PrincipalKind.USER, first.id, "ann", is_admin=False)
    assert await groups_of(database, "ann") == {"developers": "login"}


async def test_eight_first_logins_at_once_make_one_account(log_in: Onboarding) -> None:
    """However many processes are asked at once."""
    found = await asyncio.gather(*(log_in(ANN) for _ in range(8)))
    assert len({principal.id for principal in found}) == 1


async def test_groups_are_replaced_at_each_login(database: Database, log_in: Onboarding) -> None:
    """What the provider no longer tells is gone; what an administrator gave stays; an equal login moves nothing."""
    await log_in(ANN)

    def unit(tx: Transaction) -> None:
        found = find_account_by_name(tx, "ann")
        assert found is not None
        group = tx.execute(select(groups.c.id).where(groups.c.name == "operators")).scalar_one()
        tx.execute(insert(group_members).values(group_id=group, account_id=found.id, source="manual"))

    await database.write(unit)
    before = await version_of(database)
    await log_in(ANN)
    assert await version_of(database) == before

    await log_in(replace(ANN, groups=frozenset()))

    assert await groups_of(database, "ann") == {"operators": "manual"}
    assert await version_of(database) > before


async def test_the_admin_group_makes_administrators_and_unmakes_them(database: Database, log_in: Onboarding) -> None:
    """Whoever is in it administrates, until a login without it; a provider without such a group has no say."""
    admin = replace(ANN, groups=frozenset({"operators"}))
    assert (await log_in(admin)).is_admin
    assert (await Onboarding(database, None, "oidc")(ANN)).is_admin
    before = await version_of(database)

    assert not (await log_in(ANN)).is_admin
    assert await version_of(database) > before


async def test_a_name_that_is_taken_is_refused(database: Database, log_in: Onboarding) -> None:
    """Nobody becomes somebody else by being called like them: not a local user, nor one of another provider."""
    await database.write(lambda tx: add_user(tx, "ann", "hash", is_admin=True))
    with pytest.raises(AccountNameTaken):
        await log_in(ANN)

    await log_in(replace(ANN, name="bob"))
    for other in (replace(ANN, name="bob", subject="s-2"), replace(ANN, name="bob", issuer="ldap:dc=example")):
        with pytest.raises(AccountNameTaken):
            await log_in(other)


async def test_a_new_name_is_taken_over_where_it_is_free(database: Database, log_in: Onboarding) -> None:
    """The subject makes the account: it follows a new name, and keeps the old one where that is taken or impossible."""
    ann = await log_in(ANN)
    renamed = await log_in(replace(ANN, name="anna"))
    assert renamed == replace(ann, name="anna")

    await database.write(lambda tx: add_user(tx, "root", "hash", is_admin=True))
    for name in ("root", "ann@example.com"):
        assert await log_in(replace(ANN, name=name)) == renamed


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "a b", "a" * 129])
async def test_a_name_that_no_account_may_have_is_refused(log_in: Onboarding, name: str) -> None:
    """Names that stand for something else in references, credentials or addresses."""
    with pytest.raises(IdentityRefused):
        await log_in(replace(ANN, name=name))


async def test_a_disabled_account_is_refused(database: Database, log_in: Onboarding) -> None:
    """Whatever the provider says; and nothing about it is changed."""
    await log_in(ANN)
    await database.write(lambda tx: disable_account(tx, "ann"))

    with pytest.raises(Unauthorized) as refusal:
        await log_in(replace(ANN, name="anna", groups=frozenset({"operators"})))

    assert refusal.value.detail == {"reason": "disabled"}
    assert await groups_of(database, "ann") == {"developers": "login"}
    found = await database.read(lambda tx: tx.execute(select(accounts.c.is_admin)).scalar_one())
    assert found is False
