"""A client that keeps a ledger: it pushes as real ones do, and holds the registry to what it was shown."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from collection.ledger import Ledger, Pushed, read_pushed
from collection.scene import LEASE, PASSWORD, Scene
from harness.protocol import digest_of

Value = TypeVar("Value")

SECONDS_AT_MOST = 30.0
_PAUSE_SECONDS = 0.05
_RELY_SECONDS = LEASE.total_seconds() / 2


class ServerGoneError(Exception):
    """The server was killed or asks to come back later: whether it did the thing is not known."""


class TooLateError(Exception):
    """More than half a lease has passed, so what was shown may be gone."""


@dataclass(slots=True)
class Tally:
    """What the clients have seen, all of them together."""

    manifests: int = 0
    pulled: int = 0
    compared: int = 0
    mounts: int = 0
    reused: int = 0
    too_late: int = 0
    interrupted: int = 0
    slow_reads: int = 0
    edges: int = 0
    edges_gone: int = 0


class Shown:
    """Since when a push has relied on what it was shown."""

    def __init__(self) -> None:
        self.since = time.monotonic()

    def is_reliable(self) -> bool:
        """Whether less than half a lease has passed since then."""
        return time.monotonic() - self.since < _RELY_SECONDS


@dataclass(slots=True)
class Client:
    """The only one who changes a repository, with the ledger of that."""

    scene: Scene
    name: str
    chance: random.Random
    tally: Tally
    ledger: Ledger = field(default_factory=Ledger)
    _http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(auth=("admin", PASSWORD), timeout=SECONDS_AT_MOST)
    )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def settled(self, operation: Callable[[], Awaitable[Value]]) -> Value:
        """Repeat an operation, from its beginning, until the server has answered all of it in time."""
        while True:
            try:
                return await operation()
            except ServerGoneError:
                self.tally.interrupted += 1
                await asyncio.sleep(_PAUSE_SECONDS)
                await self.scene.is_up.wait()
            except TooLateError:
                self.tally.too_late += 1

    async def ask(self, method: str, path: str, *expected: int, **options: Any) -> httpx.Response:
        """Send a request; raises ServerGoneError, and fails for a status that was not expected."""
        url = path if path.startswith("http") else f"{self.scene.url}/v2/{self.name}/{path}"
        try:
            answer = await self._http.request(method, url, **options)
        except httpx.TransportError as error:
            raise ServerGoneError from error
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise ServerGoneError
        assert answer.status_code in expected, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    async def has_blob(self, digest: str) -> bool:
        """HEAD: whether the repository has the blob, which then can be relied on."""
        answer = await self.ask("HEAD", f"blobs/{digest}", 200, 404)
        return answer.status_code == httpx.codes.OK

    async def has_manifest(self, digest: str) -> bool:
        """HEAD: whether the repository has the manifest, which then can be relied on."""
        answer = await self.ask("HEAD", f"manifests/{digest}", 200, 404)
        return answer.status_code == httpx.codes.OK

    async def push_blob(self, content: bytes, mount_from: str | None = None) -> str:
        """Push a blob unless it is there, in one of the ways that the protocol knows; returns its digest."""
        digest = digest_of(content)
        if self.chance.random() < 0.7 and await self.has_blob(digest):
            self.tally.reused += 1
        elif mount_from is not None:
            path = f"blobs/uploads/?mount={digest}&from={mount_from}"
            answer = await self.ask("POST", path, 201, 202)
            if answer.status_code == httpx.codes.CREATED:
                self.tally.mounts += 1
            else:
                await self._upload(answer.headers["location"], digest, content)
        elif self.chance.random() < 0.5:
            await self.ask("POST", f"blobs/uploads/?digest={digest}", 201, content=content)
        else:
            answer = await self.ask("POST", "blobs/uploads/", 202)
            await self._upload(answer.headers["location"], digest, content)
        return digest

    async def begin_upload(self, content: bytes) -> None:
        """Write to a session that nobody will close."""
        answer = await self.ask("POST", "blobs/uploads/", 202)
        await self.ask("PATCH", self._there(answer.headers["location"]), 202, content=content)

    async def _upload(self, location: str, digest: str, content: bytes) -> None:
        location = self._there(location)
        if self.chance.random() < 0.5:
            await self.ask("PATCH", location, 202, content=content)
            await self.ask("PUT", location, 201, params={"digest": digest})
            if self.chance.random() < 0.2:  # as one who has lost the answer
                await self.ask("PUT", location, 201, params={"digest": digest})
        else:
            await self.ask("PUT", location, 201, params={"digest": digest}, content=content)

    def _there(self, location: str) -> str:
        return location if location.startswith("http") else f"{self.scene.url}{location}"

    async def put_manifest(
        self, document: Mapping[str, Any], reference: str | None, shown: Shown, blobs: Mapping[str, bytes]
    ) -> Pushed:
        """PUT a manifest under a tag, or by digest, and write into the ledger what was acknowledged.

        Within half a lease it must not fail; raises TooLateError if it does after that.
        """
        pushed = read_pushed(json.dumps(document).encode())
        answer = await self.ask(
            "PUT",
            f"manifests/{reference or pushed.digest}",
            201,
            400,
            404,
            content=pushed.content,
            headers={"Content-Type": pushed.media_type},
        )
        if answer.status_code != httpx.codes.CREATED:
            assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN", answer.text
            assert not shown.is_reliable(), (
                f"{self.name}: refused {time.monotonic() - shown.since} s after: {answer.text}"
            )
            raise TooLateError
        self.tally.manifests += 1
        self.ledger.manifests[pushed.digest] = pushed
        self.ledger.blobs |= blobs
        if reference is not None:
            self.ledger.tags[reference] = pushed.digest
        return pushed

    async def pull(self, digest: str) -> None:
        """GET a manifest and everything it names that the ledger has, and compare the bytes."""
        pushed = self.ledger.manifests[digest]
        answer = await self.ask("GET", f"manifests/{digest}", 200)
        assert answer.content == pushed.content
        self.tally.pulled += 1
        for blob in sorted(pushed.blobs):
            answer = await self.ask("GET", f"blobs/{blob}", 200)
            assert answer.content == self.ledger.blobs[blob]
            self.tally.compared += 1

    async def pull_all(self) -> None:
        """Check where each tag stands, and compare all that must be there."""
        self.ledger.forget_unneeded()
        for tag, digest in sorted(self.ledger.tags.items()):
            answer = await self.ask("HEAD", f"manifests/{tag}", 200)
            assert answer.headers["docker-content-digest"] == digest
        for digest in sorted(self.ledger.manifests):
            await self.pull(digest)
