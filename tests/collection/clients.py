"""What the clients of the soak do, each in a repository of its own, sharing layers with all others."""

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from collection.client import Client, ServerGoneError, Shown
from collection.ledger import Pushed
from collection.scene import DELETE_AFTER, LEASE, PASSWORD
from harness.protocol import LAYER, descriptor, digest_of, image, index

SHARED = tuple(random.Random(number).randbytes(500 + 700 * number) for number in range(10))  # ruff: ignore[suspicious-non-cryptographic-random-usage]  the same in every run
_TAGS = ("latest", "v1", "v2", "cache")
_CONFIG = "application/vnd.oci.image.config.v1+json"
_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_SIGNATURE = "application/vnd.example.signature"
_BIG = 12 * 1024 * 1024  # more than the sockets on both sides hold
_PIECE = 64 * 1024


def manifest_descriptor(pushed: Pushed) -> dict[str, Any]:
    """The descriptor of a manifest."""
    return descriptor(pushed.content, pushed.media_type)


@dataclass(slots=True)
class Builder:
    """Pushes, moves, deletes and pulls, as builds and people do."""

    client: Client
    neighbours: tuple[str, ...]

    async def work(self, until: float) -> None:
        """Do one thing after the other until that moment of the monotonic clock."""
        chance = self.client.chance
        things: list[Callable[[], Awaitable[None]]] = [
            *[self.push_image] * 6,
            *[self.push_index] * 3,
            *[self.push_cache] * 3,
            *[self.push_signed] * 3,
            *[self.retag] * 3,
            *[self.delete_tag] * 3,
            *[self.delete_manifest] * 2,
            *[self.delete_blob] * 2,
            *[self.leave_upload] * 1,
            *[self.pull_some] * 6,
        ]
        while time.monotonic() < until:
            await self.client.settled(chance.choice(things))
            self.client.ledger.forget_unneeded()

    async def push_image(self) -> None:
        """Push an image under a tag, which it may take from another."""
        self.client.ledger.forget_unneeded()
        await self._push_image(self._tag())

    async def push_index(self) -> None:
        """Push images by digest, to which nothing refers for a while, then the index that names them."""
        self.client.ledger.forget_unneeded()
        shown = Shown()
        children = [await self._push_image(None, shown) for _ in range(self.client.chance.randint(1, 3))]
        await asyncio.sleep(self.client.chance.uniform(0, 1))
        document = index(*map(manifest_descriptor, children))
        await self.client.put_manifest(document, self._tag(), shown, {})
        for child in children:
            if shown.is_reliable():
                await self.client.pull(child.digest)

    async def push_cache(self) -> None:
        """Push a build cache: an index whose entries are layers and a config, and import it again."""
        self.client.ledger.forget_unneeded()
        shown, blobs = Shown(), self._layers()
        for layer in blobs.values():
            await self.client.push_blob(layer, self._source())
        config = self._unique(200)
        blobs[await self.client.push_blob(config)] = config
        entries = [descriptor(blob, _CACHE_CONFIG if blob is config else LAYER) for blob in blobs.values()]
        pushed = await self.client.put_manifest(index(*entries), "cache", shown, blobs)
        await self.client.pull(pushed.digest)

    async def push_signed(self) -> None:
        """Push an image and a signature of it, whichever comes first, and a signature of the signature."""
        self.client.ledger.forget_unneeded()
        shown, tag = Shown(), self._tag()
        if self.client.chance.random() < 0.5:
            subject = await self._push_image(tag, shown)
            signature = await self._sign(subject, shown)
        else:
            document, blobs = await self._prepare_image()
            subject = await self.client.put_manifest(document, None, shown, blobs)
            signature = await self._sign(subject, shown)
            await self.client.ask("DELETE", f"manifests/{subject.digest}", 202, 404)
            await asyncio.sleep(self.client.chance.uniform(0, 0.5))
            subject = await self.client.put_manifest(document, tag, shown, blobs)
        second = await self._sign(signature, shown)
        if shown.is_reliable():
            for digest in (subject.digest, signature.digest, second.digest):
                await self.client.pull(digest)
        else:  # what came before its subject may have gone, and what was said of it does not count any more
            await self.client.ask("DELETE", f"manifests/{signature.digest}", 202, 404)
            await self.client.ask("DELETE", f"manifests/{second.digest}", 202, 404)
            self._lose(signature.digest, second.digest)

    async def retag(self) -> None:
        """Let a tag stand where another one stands."""
        ledger = self.client.ledger
        if not ledger.tags:
            return
        pushed, tag = ledger.manifests[self._chosen(ledger.tags.values())], self._tag()
        headers = {"Content-Type": pushed.media_type}
        await self.client.ask("PUT", f"manifests/{tag}", 201, content=pushed.content, headers=headers)
        ledger.tags[tag] = pushed.digest

    async def delete_tag(self) -> None:
        """Take a tag away."""
        tag = self._tag()
        await self.client.ask("DELETE", f"manifests/{tag}", 202, 404)
        self.client.ledger.tags.pop(tag, None)

    async def delete_manifest(self) -> None:
        """Delete a manifest with the tags that stand on it."""
        ledger = self.client.ledger
        if ledger.manifests:
            digest = self._chosen(ledger.manifests)
            await self.client.ask("DELETE", f"manifests/{digest}", 202, 404)
            self._lose(digest)

    async def delete_blob(self) -> None:
        """Delete a blob: it is refused while a manifest names it, and shared ones stay with the others."""
        named = {digest for pushed in self.client.ledger.manifests.values() for digest in pushed.blobs}
        digest = self._chosen([*named, *map(digest_of, SHARED)])
        answer = await self.client.ask("DELETE", f"blobs/{digest}", 202, 404, 405)
        assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED or digest not in named

    async def leave_upload(self) -> None:
        """Begin an upload and forget it, or push a blob that no manifest will name."""
        if self.client.chance.random() < 0.5:
            await self.client.begin_upload(self._unique(5000))
        else:
            content = self._unique(5000)
            shown, digest = Shown(), await self.client.push_blob(content, self._source())
            await asyncio.sleep(self.client.chance.uniform(0, 1))
            answer = await self.client.ask("GET", f"blobs/{digest}", 200, 404)
            assert answer.content == content or not shown.is_reliable()

    async def pull_some(self) -> None:
        """Pull one of the manifests that must be there."""
        self.client.ledger.forget_unneeded()
        if self.client.ledger.manifests:
            await self.client.pull(self._chosen(self.client.ledger.manifests))

    async def _push_image(self, tag: str | None, shown: Shown | None = None) -> Pushed:
        shown = shown or Shown()
        document, blobs = await self._prepare_image()
        return await self.client.put_manifest(document, tag, shown, blobs)

    async def _prepare_image(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Push what an image names; returns its manifest."""
        blobs = self._layers()
        for layer in blobs.values():
            await self.client.push_blob(layer, self._source())
        document = image(*blobs.values())
        config = self._unique(300)
        blobs[await self.client.push_blob(config)] = config
        return {**document, "config": descriptor(config, _CONFIG)}, blobs

    async def _sign(self, subject: Pushed, shown: Shown) -> Pushed:
        content, config = self._unique(100), b"{}"
        blobs = {await self.client.push_blob(piece): piece for piece in (content, config)}
        document = image(content, subject=manifest_descriptor(subject), artifactType=_SIGNATURE)
        return await self.client.put_manifest(document, None, shown, blobs)

    def _layers(self) -> dict[str, bytes]:
        """Layers that all clients share, and one that nobody else has."""
        shared = self.client.chance.sample(SHARED, self.client.chance.randint(1, 3))
        return {digest_of(layer): layer for layer in (*shared, self._unique(3000))}

    def _unique(self, size: int) -> bytes:
        return self.client.chance.randbytes(size)

    def _source(self) -> str | None:
        """From where a layer is mounted, if that is tried."""
        return self.client.chance.choice(self.neighbours) if self.client.chance.random() < 0.4 else None

    def _tag(self) -> str:
        return self.client.chance.choice(_TAGS)

    def _chosen(self, values: Iterable[str]) -> str:
        return self.client.chance.choice(sorted(values))

    def _lose(self, *digests: str) -> None:
        ledger = self.client.ledger
        for digest in digests:
            ledger.manifests.pop(digest, None)
        ledger.tags = {tag: on for tag, on in ledger.tags.items() if on not in digests}


@dataclass(slots=True)
class EdgeWalker:
    """Asks for content just when its lease runs out, and relies on the answer."""

    client: Client

    async def work(self, until: float) -> None:
        """Walk along the edge, again and again."""
        while time.monotonic() < until:
            await self.client.settled(self.client.chance.choice([self.walk_blob, self.walk_manifest]))
            self.client.ledger.forget_unneeded()

    async def walk_blob(self) -> None:
        """Push a blob, ask for it as its lease ends, and name it in a manifest if it was there."""
        content = self.client.chance.randbytes(400)
        digest = await self.client.push_blob(content)
        await self._wait_for_the_edge()
        shown = Shown()
        if await self._is_still_there(self.client.has_blob(digest)):
            document = {**image(), "config": descriptor(content, _CONFIG)}
            await self.client.put_manifest(document, "edge", shown, {digest: content})

    async def walk_manifest(self) -> None:
        """Push an image by digest, ask for it as its lease ends, and name it in an index if it was there."""
        content = self.client.chance.randbytes(400)
        digest = await self.client.push_blob(content)
        document = {**image(), "config": descriptor(content, _CONFIG)}
        child = await self.client.put_manifest(document, None, Shown(), {digest: content})
        await self._wait_for_the_edge()
        shown = Shown()
        if await self._is_still_there(self.client.has_manifest(child.digest)):
            await self.client.put_manifest(index(manifest_descriptor(child)), "edge", shown, {})
            if shown.is_reliable():
                await self.client.pull(child.digest)
            else:
                del self.client.ledger.manifests[child.digest]

    async def _wait_for_the_edge(self) -> None:
        await asyncio.sleep(LEASE.total_seconds() + self.client.chance.uniform(-0.1, 0.1))

    async def _is_still_there(self, asking: Awaitable[bool]) -> bool:
        found = await asking
        self.client.tally.edges += 1
        self.client.tally.edges_gone += not found
        return found


@dataclass(slots=True)
class SlowReader:
    """Reads a large blob slowly while it is deleted under its hands."""

    client: Client

    async def work(self, until: float) -> None:
        """Read, again and again."""
        while time.monotonic() < until:
            await self.client.settled(self.read_slowly)

    async def read_slowly(self) -> None:
        """Push a blob, begin to read it, delete it, and read on for nearly as long as deleted bytes stay."""
        content = self.client.chance.randbytes(_PIECE) * (_BIG // _PIECE)
        digest = await self.client.push_blob(content)
        transport = httpx.AsyncHTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)])
        url = f"{self.client.scene.url}/v2/{self.client.name}/blobs/{digest}"
        async with httpx.AsyncClient(auth=("admin", PASSWORD), transport=transport, timeout=30) as http:
            began = time.monotonic()
            try:
                async with http.stream("GET", url) as answer:
                    if answer.status_code != httpx.codes.OK:
                        return
                    await self.client.ask("DELETE", f"blobs/{digest}", 202, 404)
                    received = bytearray()
                    pause = DELETE_AFTER.total_seconds() * 0.7 / (_BIG / _PIECE)
                    async for piece in answer.aiter_raw(_PIECE):
                        received += piece
                        await asyncio.sleep(pause)
            except httpx.TransportError as error:
                raise ServerGoneError from error
        if time.monotonic() - began < DELETE_AFTER.total_seconds():
            assert received == content
            self.client.tally.slow_reads += 1
