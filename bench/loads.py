"""The loads by name: what the driver runs and times, and how its outcome is checked afterwards."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

import uvloop

from bench.connection import Connection, request_head, require
from bench.content import MANIFEST_TYPE, LargeBlob, SmallBlobs, digest_of, manifest
from bench.errors import WrongAnswer
from bench.jobs import Figures, Job, quantile
from bench.plain_client import PlainClient, closing_path
from bench.sizes import GIB, MIB

_SECONDS_AT_MOST: Final = 300
_CHECKED_AT_MOST: Final = 32
"""Of many small things so many are read back and hashed."""

Pusher: TypeAlias = Callable[[Connection, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Load:
    """``run`` is timed, in the driver's process; ``check`` is not, and raises WrongAnswer."""

    run: Callable[[Job], Figures]
    check: Callable[[Job], None]


@contextlib.contextmanager
def _client(job: Job) -> Generator[PlainClient, None, None]:
    client = PlainClient.of(job)
    try:
        yield client
    finally:
        client.close()


def ask_for_manifest(job: Job) -> Figures:
    """GET or HEAD the manifest ``v0`` for ``amount`` seconds on each connection, one request after the other."""
    content = manifest(job.seed, 0)
    digest = digest_of(content)
    headers = {"Accept": MANIFEST_TYPE, **job.headers}
    request = request_head(job.method, f"/v2/{job.repository}/manifests/v0", headers)
    has_body = job.method == "GET"

    async def one(connection: Connection, ends: float, took: list[float]) -> None:
        began = time.perf_counter()
        while True:
            answer = await connection.ask(request, has_body=has_body)
            now = time.perf_counter()
            took.append(now - began)
            require(answer, 200, digest)
            if has_body and answer.body != content:
                raise WrongAnswer(f"another manifest: {answer.body[:500]!r}")
            if now >= ends:
                return
            began = now

    async def load(connections: list[Connection], took: list[float]) -> None:
        ends = time.perf_counter() + job.amount
        await asyncio.gather(*(one(connection, ends, took) for connection in connections))

    return _timed(job, load)


def push_small_blobs(job: Job) -> Figures:
    """Push ``amount`` blobs of a mebibyte, POST and PUT each, each connection the next that nobody has pushed."""
    blobs = SmallBlobs(job.seed)
    digests = [digest_of(b"".join(blobs.parts(number))) for number in range(int(job.amount))]
    start = request_head("POST", f"/v2/{job.repository}/blobs/uploads/", job.headers, 0)

    async def push(connection: Connection, number: int) -> None:
        opened = await connection.ask(start)
        require(opened, 202)
        path = closing_path(opened.location, digests[number])
        head = request_head("PUT", path, {"Content-Type": "application/octet-stream", **job.headers}, MIB)
        require(await connection.ask(head, *blobs.parts(number)), 201, digests[number])

    return _pushed(job, push)


def push_tags(job: Job) -> Figures:
    """Push ``amount`` manifests, each under a tag of its own, each connection the next that nobody has pushed."""
    contents = [manifest(job.seed, number) for number in range(1, int(job.amount) + 1)]
    digests = [digest_of(content) for content in contents]
    headers = {"Content-Type": MANIFEST_TYPE, **job.headers}

    async def push(connection: Connection, number: int) -> None:
        path = f"/v2/{job.repository}/manifests/v{number + 1}"
        head = request_head("PUT", path, headers, len(contents[number]))
        require(await connection.ask(head, contents[number]), 201, digests[number])

    return _pushed(job, push)


def push_large_blob(job: Job) -> Figures:
    """Push one blob of ``amount`` bytes with POST and one PUT."""
    blob = LargeBlob(job.seed, int(job.amount))
    digest = blob.digest()
    with _client(job) as client:
        cpu, began = time.process_time(), time.perf_counter()
        client.put(client.start_upload(digest), digest, blob.length, blob.pieces())
        took = time.perf_counter() - began
    return Figures(blob.length / GIB, took, time.process_time() - cpu)


def pull_large_blob(job: Job) -> Figures:
    """Read the blob of ``push_large_blob``, which is hashed only in the check so that the driver keeps up."""
    blob = LargeBlob(job.seed, int(job.amount))
    digest = blob.digest()
    with _client(job) as client:
        cpu = time.process_time()
        took = client.get(f"{client.base}/blobs/{digest}", digest, blob.length, is_hashed=False)
    return Figures(blob.length / GIB, took, time.process_time() - cpu)


def _pushed(job: Job, push: Pusher) -> Figures:
    """Push the numbers below ``amount`` on all connections."""
    numbers = iter(range(int(job.amount)))

    async def pusher(connection: Connection, took: list[float]) -> None:
        for number in numbers:
            began = time.perf_counter()
            await push(connection, number)
            took.append(time.perf_counter() - began)

    async def load(connections: list[Connection], took: list[float]) -> None:
        await asyncio.gather(*(pusher(connection, took) for connection in connections))

    return _timed(job, load)


def _timed(job: Job, load: Callable[[list[Connection], list[float]], Awaitable[None]]) -> Figures:
    """Open the connections, run the load, and count what it ``took``, one entry a unit."""
    took: list[float] = []

    async def timed() -> tuple[float, float]:
        connections = [await Connection.open(job.port) for _ in range(job.connections)]
        cpu, began = time.process_time(), time.perf_counter()
        async with asyncio.timeout(_SECONDS_AT_MOST):
            await load(connections, took)
        seconds, spent = time.perf_counter() - began, time.process_time() - cpu
        for connection in connections:
            connection.close()
        return seconds, spent

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, spent = runner.run(timed())
    took.sort()
    return Figures(len(took), seconds, spent, 1000 * quantile(took, 0.5), 1000 * quantile(took, 0.99))


def _check_nothing(job: Job) -> None:
    """Every answer was compared already."""


def _check_small_blobs(job: Job) -> None:
    blobs = SmallBlobs(job.seed)
    with _client(job) as client:
        for number in range(min(int(job.amount), _CHECKED_AT_MOST)):
            digest = digest_of(b"".join(blobs.parts(number)))
            client.get(f"{client.base}/blobs/{digest}", digest, MIB, is_hashed=True)


def _check_tags(job: Job) -> None:
    count = int(job.amount)
    with _client(job) as client:
        for number in range(1, count + 1, -(-count // _CHECKED_AT_MOST)):
            content = manifest(job.seed, number)
            client.get(f"{client.base}/manifests/v{number}", digest_of(content), len(content), is_hashed=True)


def _check_large_blob(job: Job) -> None:
    blob = LargeBlob(job.seed, int(job.amount))
    digest = blob.digest()
    with _client(job) as client:
        client.get(f"{client.base}/blobs/{digest}", digest, blob.length, is_hashed=True)


LOADS: Final = {
    "manifest": Load(ask_for_manifest, _check_nothing),
    "small-blobs": Load(push_small_blobs, _check_small_blobs),
    "tags": Load(push_tags, _check_tags),
    "large-push": Load(push_large_blob, _check_nothing),
    "large-pull": Load(pull_large_blob, _check_large_blob),
}
