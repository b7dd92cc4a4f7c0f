"""Logins by the hundred beside pulls."""

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path

import httpx

from harness.ports import free_port
from harness.protocol import Repository
from harness.registry import ADMIN, LiveRegistry, running_registry

LOGINS = 200
TOGETHER = 40
PULLERS = 4
ROUNDS_AT_MOST = 2
SECONDS_AT_MOST = 120.0

NOISE_AT_MOST = LOGINS / 10  # a call that blocks the loop would do so at every login

_LATE = re.compile(r'^entrepot_event_loop_late_total\{cause="(\w+)"\} (\S+)$', re.MULTILINE)


def test_logins_do_not_stop_pulls(tmp_path: Path) -> None:
    """While 200 passwords are verified every pull succeeds, and nothing keeps the event loop for 100 ms.

    A host that has no time for the process makes the loop late, too, now and then: then it is tried again.
    """
    operations = f"127.0.0.1:{free_port()}"
    environment = {"ENTREPOT_OPS_LISTEN": operations}
    with running_registry(tmp_path, "--anonymous", "none", environment=environment) as registry:
        with httpx.Client(base_url=registry.url, auth=(ADMIN, registry.admin_password)) as admin:
            repository = Repository(admin, "busy/image")
            repository.push_image()
            token = admin.get("/token", params={"scope": "repository:busy/image:pull"}).json()["token"]
        waiting: list[int] = []
        while len(waiting) < ROUNDS_AT_MOST and 0 not in waiting:
            before = late_loops(operations)
            pulls = asyncio.run(logins_beside_pulls(registry, token))
            assert pulls[200] == sum(pulls.values()) > LOGINS
            after = late_loops(operations)
            assert after["busy"] == before["busy"]
            waiting.append(after["waiting"] - before["waiting"])

    assert min(waiting) < NOISE_AT_MOST


async def logins_beside_pulls(registry: LiveRegistry, token: str) -> dict[int, int]:
    """Try passwords that nobody has, each of which costs a hash; the answers to pulls meanwhile, by status."""
    answers: dict[int, int] = {}
    done = asyncio.Event()
    async with (
        httpx.AsyncClient(base_url=registry.url, timeout=SECONDS_AT_MOST) as client,
        asyncio.TaskGroup() as group,
    ):

        async def pull() -> None:
            while not done.is_set():
                found = await client.get("/v2/busy/image/manifests/v1", headers={"Authorization": f"Bearer {token}"})
                answers[found.status_code] = answers.get(found.status_code, 0) + 1
                await asyncio.sleep(0.01)

        async def log_in(numbers: "itertools.count[int]") -> None:
            while (number := next(numbers)) < LOGINS:
                form = {"grant_type": "password", "username": f"nobody-{number}", "password": "wrong"}
                assert (await client.post("/token", data=form)).status_code == httpx.codes.UNAUTHORIZED

        async def log_all_in() -> None:
            numbers = itertools.count()
            async with asyncio.TaskGroup() as logins:
                for _ in range(TOGETHER):
                    logins.create_task(log_in(numbers))
            done.set()

        for _ in range(PULLERS):
            group.create_task(pull())
        group.create_task(log_all_in())
    return answers


def late_loops(operations: str) -> Counter[str]:
    """How often the registry's event loop was late, by cause."""
    text = httpx.get(f"http://{operations}/metrics").text
    assert "entrepot_event_loop_late" in text
    return Counter({cause: int(float(times)) for cause, times in _LATE.findall(text)})
