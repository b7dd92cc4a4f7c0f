"""Rights that end, seen by another replica over the same database at its next request."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from harness.administration import Administration
from harness.postgresql import PostgresqlServer
from harness.registry import LiveRegistry, running_registry

PASSWORD = "a password of ann's"


@pytest.fixture
def replicas(
    tmp_path: Path, postgresql: PostgresqlServer
) -> Generator[tuple[LiveRegistry, LiveRegistry, Administration], None, None]:
    """Two registries with data directories of their own, and administration of their database."""
    url = postgresql.fresh_database()
    environment = {"ENTREPOT_DATABASE": url}
    with (
        running_registry(tmp_path / "one", "--anonymous", "none", environment=environment) as one,
        running_registry(tmp_path / "two", "--anonymous", "none", environment=environment) as two,
    ):
        yield one, two, Administration(one.data, url)


def statuses(two: LiveRegistry, auth: tuple[str, str], token: str) -> list[int]:
    """What the other replica says to a password or secret, and to a token of the first one."""
    with httpx.Client(base_url=two.url) as client:
        return [
            client.get("/v2/_catalog", auth=auth).status_code,
            client.get("/v2/_catalog", headers={"Authorization": f"Bearer {token}"}).status_code,
        ]


def test_what_ends_here_has_ended_there(
    replicas: tuple[LiveRegistry, LiveRegistry, Administration],
) -> None:
    """A binding that is removed, a robot that is disabled and a token that is revoked, while tokens are out."""
    one, two, admin = replicas
    admin.user("ann", PASSWORD)
    personal = admin.json("token", "create", "ann", "--name", "t")["token"]
    secret = admin.robot("node", "reader", "**")
    binding = admin("binding", "add", "--user", "ann", "--role", "reader", "--repositories", "**").strip()

    def token_of(auth: tuple[str, str]) -> str:
        with httpx.Client(base_url=one.url, auth=auth) as client:
            return str(client.get("/token", params={"scope": "registry:catalog:*"}).json()["token"])

    ann, node, by_token = ("ann", PASSWORD), ("node", secret), ("ann", personal)
    tokens = {auth: token_of(auth) for auth in (ann, node, by_token)}
    for auth, token in tokens.items():
        assert statuses(two, auth, token) == [200, 200]

    admin("robot", "disable", "node")
    assert statuses(two, node, tokens[node]) == [401, 401]

    (listed,) = admin.json("token", "list", "ann")
    admin("token", "revoke", listed["id"])
    assert statuses(two, by_token, tokens[by_token]) == [401, 401]
    assert statuses(two, ann, tokens[ann]) == [200, 200]

    admin("binding", "remove", binding)
    assert statuses(two, ann, tokens[ann]) == [403, 403]
