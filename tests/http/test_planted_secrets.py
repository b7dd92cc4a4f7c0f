"""Secrets that clients and settings bring in appear in no log line, no row, no argument list and no answer."""

import base64
import re
import secrets
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg import sql

from harness.fixtures import Database, StartRegistry
from harness.protocol import Repository
from harness.registry import LiveRegistry


def _planted() -> str:
    """A secret that is like no other text, and that nobody needs to escape."""
    return f"planted{secrets.token_hex(16)}"


def _forms(secret: str) -> list[bytes]:
    """The secret as it is, and as Basic credentials and URLs would show it."""
    encoded = [base64.b64encode(f"{user}:{secret}".encode()) for user in ("admin", "nobody", "")]
    return [secret.encode(), *encoded, quote(secret).encode(), secret.encode().hex().encode()]


def _rows(registry: LiveRegistry, url: str | None) -> bytes:
    """Everything in the database: the file with its log, or every row of every table as text."""
    if url is None:
        return b"".join(path.read_bytes() for path in registry.data.glob("entrepot.db*"))
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        dumped = [
            connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))).fetchall()
            for (table,) in tables
        ]
    return repr(dumped).encode()


def _processes(pid: int) -> bytes:
    """Argument lists of the registry's process and its children."""
    found = [pid]
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(place.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
        if parent == pid:
            found.append(int(place.parent.name))
    return b"".join(Path(f"/proc/{one}/cmdline").read_bytes() for one in found)


def _visit(registry: LiveRegistry, secret: dict[str, str]) -> list[httpx.Response]:
    """Use the registry, rightly and wrongly, with a secret wherever a client could send one."""
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=registry.url, auth=("admin", registry.admin_password), timeout=20) as admin:
        repository = Repository(admin)
        repository.push_image("v1", secrets.token_bytes(1000))
        location = repository.start_upload(f"?_state={secret['state']}&account={secret['query']}")
        answers += [
            admin.patch(location + f"?_state={secret['state']}", content=b"x", headers={"Cookie": secret["cookie"]}),
            admin.get(f"{repository.base}/tags/list", params={"password": secret["query"], "n": secret["query"]}),
            admin.get(f"/{secret['path']}"),
            admin.get(f"/v2/{secret['path'].upper()}/tags/list"),
            admin.get("/token", params={"scope": f"repository:{repository.name}:pull", "account": secret["query"]}),
            admin.get("/token", params={"scope": secret["query"]}),
            admin.get(f"{repository.base}/manifests/v1", headers={"X-Secret": secret["cookie"]}),
            admin.delete(f"{repository.base}/manifests/v1"),
        ]
        token = answers[4].json()["token"]
    secret["token"], secret["signature"] = token, token.rpartition(".")[2]
    credentials = [
        httpx.BasicAuth("admin", secret["wrong"])._auth_header,
        httpx.BasicAuth("nobody", secret["wrong"])._auth_header,
        httpx.BasicAuth("", secret["wrong"])._auth_header,
        f"Bearer {token}",
        f"Bearer {secret['bearer']}",
        f"Bearer {token[:-8]}{secret['bearer'][-8:]}",
        f"Digest {secret['bearer']}",
        f"Basic {secret['bearer']}",
        secret["bearer"],
    ]
    with httpx.Client(base_url=registry.url, timeout=20) as client:
        for value in credentials:
            headers = {"Authorization": value}
            answers += [
                client.get(path, headers=headers) for path in ("/v2/", "/token", f"{repository.base}/tags/list")
            ]
            answers.append(client.put(location, headers=headers, content=secret["cookie"]))
    return answers


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_secret_is_written_down(
    live_registry: StartRegistry, request: pytest.FixtureRequest, database: Database
) -> None:
    """Passwords, tokens, credentials of every kind and what else a URL or header may hold stay with their request."""
    url = None
    environment = {"ENTREPOT_LOG__LEVEL": "debug"}
    if database == "postgresql":
        url = request.getfixturevalue("postgresql").fresh_database()
        environment["ENTREPOT_DATABASE"] = str(url)
    registry = live_registry(environment=environment)
    secret = {kind: _planted() for kind in ("wrong", "bearer", "state", "query", "cookie", "path")}

    answers = _visit(registry, secret)

    secret["password"] = registry.admin_password
    running = _processes(registry.pid)
    assert registry.stop() == 0
    log, rows = registry.log().encode(), _rows(registry, url)
    assert log.count(b'"message": "request"') >= len(answers)
    assert b"test/" in rows
    for kind, value in secret.items():
        for form in _forms(value):
            assert form not in log, kind
            assert form not in rows, kind
            assert form not in running, kind
    shown = b"".join(
        answer.content + repr(answer.headers).encode() for answer in answers if answer.status_code in {401, 403}
    )
    assert not any(form in shown for kind in ("wrong", "bearer", "cookie", "password") for form in _forms(secret[kind]))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_passwords_lie_in_the_database_as_hashes_alone(
    live_registry: StartRegistry, request: pytest.FixtureRequest, database: Database
) -> None:
    """The only trace of a password is an Argon2id hash."""
    url = request.getfixturevalue("postgresql").fresh_database() if database == "postgresql" else None
    registry = live_registry(environment={"ENTREPOT_DATABASE": str(url)} if url else {})
    registry.stop()

    hashes = re.findall(rb"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+", _rows(registry, url))

    assert len(set(hashes)) == 1
