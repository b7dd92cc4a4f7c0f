"""Users of a password file, imported beside a running registry, and their first logins."""

import asyncio
import json
import secrets
from collections.abc import Generator
from pathlib import Path

import bcrypt
import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Row, select

from entrepot.metadata import open_database
from entrepot.metadata.access_tables import accounts
from entrepot.metadata.tables import audit
from harness.administration import Administration
from harness.registry import LiveRegistry, running_registry

COMMAND = ("user", "import-htpasswd")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry with two workers."""
    with running_registry(tmp_path_factory.mktemp("htpasswd"), "--workers", "2", "--anonymous", "none") as started:
        yield started


@pytest.fixture(scope="module")
def admin(registry: LiveRegistry) -> Administration:
    """Administration of its data."""
    return Administration(registry.data)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes its password file."""
    return tmp_path / "htpasswd"


def hashed(password: str, cost: int = 5) -> str:
    """A hash as ``htpasswd -B`` makes it."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$")


def status(registry: LiveRegistry, name: str, password: str) -> int:
    """What the registry answers to a login, on a connection of its own."""
    return httpx.get(f"{registry.url}/v2/", auth=(name, password), timeout=30).status_code


def rows(registry: LiveRegistry) -> tuple[dict[str, str | None], list[Row[tuple[object, ...]]]]:
    """The stored hash of each user, and every audit row."""

    async def read() -> tuple[dict[str, str | None], list[Row[tuple[object, ...]]]]:
        database = open_database(f"sqlite:///{registry.data / 'entrepot.db'}")
        try:
            hashes = await database.read(lambda tx: tx.execute(select(accounts.c.name, accounts.c.password_hash)).all())
            audited = await database.read(lambda tx: tx.execute(select(audit)).all())
        finally:
            await database.close()
        return {row.name: row.password_hash for row in hashes}, list(audited)

    return asyncio.run(read())


def test_imported_users_log_in_and_their_hashes_are_renewed(
    registry: LiveRegistry, admin: Administration, file: Path
) -> None:
    """A wrong password is refused and renews nothing; the right one gets in, is hashed by Argon2id, and gets in again.

    No password and no hash is in an audit row, in what the command prints, or in the log.
    """
    plant = "a planted password"
    ann, bob, eve = (f"{name}-{secrets.token_hex(4)}" for name in ("ann", "bob", "eve"))
    hashes = {ann: hashed(plant), bob: hashed(plant, 10), eve: PasswordHasher(1, 64, 1).hash(plant)}
    file.write_text("# ours\n" + "".join(f"{name}:{made}\n" for name, made in hashes.items()), encoding="utf-8")

    said = admin(*COMMAND, str(file))
    refused = [status(registry, name, "another password") for name in hashes]
    stored, _ = rows(registry)
    assert {name: stored[name] for name in hashes} == hashes
    accepted = [status(registry, name, plant) for name in hashes]
    renewed, audited = rows(registry)

    assert refused == [401] * 3
    assert accepted == [200] * 3
    assert all(str(renewed[name]).startswith("$argon2id$v=19$m=65536,t=3,p=4$") for name in hashes)
    assert [status(registry, name, plant) for name in hashes] == [200] * 3
    assert [status(registry, name, "another password") for name in hashes] == [401] * 3
    again, _ = rows(registry)
    assert again == renewed
    everything = said + registry.log() + "".join(str(row) for row in audited)
    assert {row.reference for row in audited if row.action == "user.add"} >= set(hashes)
    for secret in (plant, *hashes.values(), *(str(renewed[name]) for name in hashes)):
        assert secret not in everything


def test_a_file_with_a_refused_line_changes_nothing(registry: LiveRegistry, admin: Administration, file: Path) -> None:
    """Each refusal names its line and says what to do, without what stands there; the good lines wait, too."""
    good = f"good-{secrets.token_hex(4)}"
    robot = f"robot-{secrets.token_hex(4)}"
    admin.robot(robot, "reader", "team/**")
    lines = [
        f"{good}:{hashed('x')}",
        "old:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
        "older:rl.3StKT.4T8M",
        "sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        f"dear:{hashed('x').replace('$05$', '$14$')}",
        "a-password-on-its-own",
        f"{robot}:{hashed('x')}",
    ]
    file.write_text("\n".join(lines), encoding="utf-8")

    said = admin(*COMMAND, str(file), code=2).splitlines()

    assert said[0] == "nothing is imported:"
    assert [line.partition(": ")[0] for line in said[1:]] == [f"line {number}" for number in range(2, 8)]
    assert "old: a hash by MD5 is not taken: hash the password anew with `htpasswd -B`" in said[1]
    assert "cost" in said[4]
    assert "a-password-on-its-own" not in "".join(said)
    assert "a robot has the name" in said[6]
    assert good not in {one["name"] for one in admin.json("user", "list")}


def test_the_good_lines_alone(registry: LiveRegistry, admin: Administration, file: Path) -> None:
    """With `--skip-refused` they are imported, and the exit code says that it is not all."""
    good = f"good-{secrets.token_hex(4)}"
    file.write_text(f"{good}:{hashed('x')}\nold:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00\n", encoding="utf-8")

    said = admin(*COMMAND, str(file), "--skip-refused", code=10)

    assert said.startswith("line 2: old: ")
    assert status(registry, good, "x") == 200


def test_a_dry_run_changes_nothing(registry: LiveRegistry, admin: Administration, file: Path) -> None:
    """It prints what would become of each line; stdin is a file like any other."""
    new = f"new-{secrets.token_hex(4)}"
    there = f"there-{secrets.token_hex(4)}"
    admin.user(there, "their password")
    file.write_text(f"{there}:{hashed('x')}\n{new}:{hashed('x')}\n", encoding="utf-8")

    for options, outcome in (((), "kept"), (("--force",), "replaced")):
        said = admin(*COMMAND, "-", "--dry-run", "--output", "json", *options, stdin=file.read_text(encoding="utf-8"))
        assert json.loads(said) == {
            "dry_run": True,
            "users": [
                {"line": 1, "name": there, "outcome": outcome},
                {"line": 2, "name": new, "outcome": "added"},
            ],
            "refused": [],
        }
    assert new not in {one["name"] for one in admin.json("user", "list")}
    assert status(registry, there, "their password") == 200


def test_who_is_there_is_overwritten_only_if_told_so(registry: LiveRegistry, admin: Administration, file: Path) -> None:
    """Without `--force` the password stays, with it the file's counts, at every worker at once."""
    there = f"there-{secrets.token_hex(4)}"
    admin.user(there, "their password")
    file.write_text(f"{there}:{hashed('that of the file')}\n", encoding="utf-8")

    kept = admin(*COMMAND, str(file))
    assert [status(registry, there, password) for password in ("their password", "that of the file")] == [200, 401]
    replaced = admin(*COMMAND, str(file), "--force")

    assert "kept" in kept
    assert "replaced" in replaced
    for _ in range(6):
        assert status(registry, there, "their password") == 401
        assert status(registry, there, "that of the file") == 200


def test_an_imported_admin_takes_the_made_password_away(tmp_path: Path, file: Path) -> None:
    """With `--force` over `admin`, the file with the password that was made for the first login is gone."""
    with running_registry(tmp_path / "registry", "--anonymous", "none") as fresh:
        (fresh.data / "admin-password").write_text("made", encoding="utf-8")
        file.write_text(f"admin:{hashed('that of the file')}\n", encoding="utf-8")

        Administration(fresh.data)(*COMMAND, str(file), "--force")

        assert status(fresh, "admin", "that of the file") == 200
        assert status(fresh, "admin", fresh.admin_password) == 401
        assert not (fresh.data / "admin-password").exists()


def test_a_file_is_bounded(admin: Administration, file: Path) -> None:
    """A file of more than 4 MiB is not read to its end."""
    file.write_bytes(b"#" * (4 * 1024 * 1024 + 1))

    assert "4194304 bytes" in admin(*COMMAND, str(file), code=2)
