"""Clients that push, move and delete all the time until the registry vanishes under them."""

import base64
import contextlib
import json
import random
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

import httpx

from clients.image import Layout, write_image
from crashes.client import SECONDS_AT_MOST, Client
from crashes.ledger import Ledger
from harness.programs import find_program
from harness.protocol import EMPTY, OCI_MANIFEST, descriptor, digest_of, image, index
from harness.registry import ADMIN, LiveRegistry

TAGS = ("v1", "v2", "latest")


def chance_of(seed: float) -> random.Random:
    """The same accidents for the same seed."""
    return random.Random(seed)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  no secret


class Worker(Protocol):
    """One who works against a registry, thing after thing."""

    ledger: Ledger

    def work(self, registry: LiveRegistry, http: httpx.Client) -> None:
        """Do one thing more; raises httpx.TransportError when the registry has vanished."""
        ...


class Pusher:
    """Pushes images of random blobs into its own repository, and takes some of it away again.

    ``common`` is content that every pusher pushes, so that several push the same blob at the same moment; ``longest``
    is the size in bytes that no other blob reaches.
    """

    def __init__(self, name: str, chance: random.Random, common: Sequence[bytes], *, longest: int = 2_000_000) -> None:
        self.ledger = Ledger()
        self._repository = f"crashes/{name}"
        self._chance = chance
        self._common = common
        self._longest = longest

    def work(self, registry: LiveRegistry, http: httpx.Client) -> None:
        """Push an image, then perhaps do something else."""
        client = Client(http, self._repository, self.ledger)
        self._push_image(client)
        action = self._chance.choice(
            [self._push_index, self._delete_tag, self._delete_manifest, self._delete_blob, self._mount, self._cancel]
        )
        action(client)

    def _push_image(self, client: Client) -> None:
        layers = [self._content(), self._chance.choice(self._common)]
        for layer in (EMPTY, *layers):
            self._push(client, layer)
        client.put_manifest(self._chance.choice(TAGS), image(*layers))

    def _push(self, client: Client, content: bytes) -> str:
        """In one request, in two, or in several chunks."""
        way = self._chance.randrange(3)
        if way < 2 or len(content) < 2:
            return client.push_blob(content, in_chunks=way == 1)
        location = client.start_upload()
        middle = self._chance.randrange(1, len(content))
        client.write(location, content[:middle], 0)
        client.write(location, content, middle)
        return client.finish(location, content)

    def _push_index(self, client: Client) -> None:
        children = [content for place, content in self.ledger.manifests.items() if place[0] == self._repository]
        client.put_manifest("index", index(*(descriptor(child, OCI_MANIFEST) for child in children[-3:])))

    def _delete_tag(self, client: Client) -> None:
        client.delete_tag(self._chance.choice(TAGS))

    def _delete_manifest(self, client: Client) -> None:
        for _, digest in list(self.ledger.manifests)[:1]:
            client.delete_manifest(digest)

    def _delete_blob(self, client: Client) -> None:
        client.delete_blob(client.push_blob(self._content()))

    def _mount(self, client: Client) -> None:
        content = self._chance.choice(self._common)
        client.push_blob(content)
        other = Client(client.http, f"{self._repository}/mounted", self.ledger)
        other.mount(digest_of(content), content, self._repository)

    def _cancel(self, client: Client) -> None:
        location = client.start_upload()
        client.write(location, self._content(), 0)
        client.cancel(location)

    def _content(self) -> bytes:
        """Mostly small, sometimes of several chunks."""
        longest = self._chance.choice([10_000, 10_000, 100_000, self._longest])
        return self._chance.randbytes(self._chance.randrange(2, min(longest, self._longest)))


class CranePusher:
    """Pushes images with crane, each under a tag of its own."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.ledger = Ledger()
        self._folder = folder
        self._chance = chance
        self._pushed = 0

    def work(self, registry: LiveRegistry, http: httpx.Client) -> None:
        """Push an image; a push that succeeds is a promise of all its content."""
        self._pushed += 1
        repository, tag = "crashes/crane", f"v{self._pushed}"
        layers = {"one": self._chance.randbytes(50_000), "two": self._chance.randbytes(500_000)}
        layout = write_image(self._folder / tag, layers)
        self.ledger.tags[repository, tag].add(layout.digest)
        self.ledger.asked.add((repository, layout.digest))
        if not self._succeeds(registry, layout, f"{repository}:{tag}"):
            raise httpx.ConnectError("crane lost the registry")
        for name, content in layout.blobs().items():
            digest = f"sha256:{name}"
            if digest == layout.digest:
                self.ledger.manifests[repository, digest] = content
            else:
                self.ledger.blobs[repository, digest] = content
        self.ledger.tags[repository, tag] = {layout.digest}

    def _succeeds(self, registry: LiveRegistry, layout: Layout, reference: str) -> bool:
        credentials = base64.b64encode(f"{ADMIN}:{registry.admin_password}".encode()).decode()
        config = {"auths": {registry.address: {"auth": credentials}}}
        (self._folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        crane = subprocess.Popen(
            [find_program("crane"), "push", layout.path, f"{registry.address}/{reference}"],
            env={"DOCKER_CONFIG": str(self._folder), "HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ended = threading.Event()
        watch = threading.Thread(target=_end_with, args=(crane, registry, ended))
        watch.start()
        try:
            return crane.wait(SECONDS_AT_MOST) == 0
        finally:
            ended.set()
            watch.join()


def _end_with(crane: subprocess.Popen[bytes], registry: LiveRegistry, ended: threading.Event) -> None:
    """End crane, which would try for long, when the registry has ended."""
    while not ended.wait(0.05):
        if registry.has_ended():
            crane.kill()
            return


class Shift:
    """Workers at work, each in a thread of its own, until the registry vanishes or the shift is over."""

    def __init__(self, workers: Sequence[Worker], registry: LiveRegistry, http: httpx.Client) -> None:
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(worker.work, registry, http)) for worker in workers]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _run(
        self, work: Callable[[LiveRegistry, httpx.Client], None], registry: LiveRegistry, http: httpx.Client
    ) -> None:
        try:
            with contextlib.suppress(httpx.TransportError):
                while not self._over.is_set():
                    work(registry, http)
        except BaseException as failure:  # ruff: ignore[blind-except]  raised again where the shift ends
            self._failures.append(failure)
