"""The steps at which a registry is made to die, and for each what a client does meanwhile, and once it is back."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from typing_extensions import override

from crashes.client import Client
from harness.protocol import EMPTY, digest_of, image

MIB = 1024 * 1024


@dataclass
class Stage:
    """What one client's interrupted work is about: content that is there before, and content that is new."""

    client: Client
    elsewhere: Client
    """The same client's work in a second repository, on one ledger."""
    there: bytes = field(default_factory=lambda: secrets.token_bytes(64 * 1024))
    new: bytes = field(default_factory=lambda: secrets.token_bytes(3 * MIB))
    location: str | None = None
    """The upload session that was under way."""

    def set(self) -> None:
        """Push what is there before: an image under two tags, and a blob that no manifest names."""
        self.client.push_blob(EMPTY)
        self.client.push_blob(self.there)
        self.elsewhere.push_blob(self.there)
        for tag in ("stays", "moves", "goes"):
            self.client.put_manifest(tag, self.first_image)

    @property
    def first_image(self) -> dict[str, Any]:
        """The image that is there before."""
        return image(self.there)

    @property
    def second_image(self) -> dict[str, Any]:
        """An image of the same blobs and another digest."""
        return image(self.there, annotations={"org.example.image": "second"})

    def again(self, client: Client, elsewhere: Client) -> "Stage":
        """The same stage before another server."""
        return Stage(client, elsewhere, self.there, self.new, self.location)


def push_in_chunks(stage: Stage) -> None:
    """POST, PATCH, PUT; an upload that was interrupted goes on from where its session is, if there is one."""
    client = stage.client
    offset = None if stage.location is None else client.offset(stage.location)
    if stage.location is None or offset is None:
        stage.location, offset = client.start_upload(), 0
    client.write(stage.location, stage.new, offset)
    client.finish(stage.location, stage.new)


def finish_with_body(stage: Stage) -> None:
    """POST, and PUT with all bytes; after an interruption with what is lacking."""
    client = stage.client
    offset = None if stage.location is None else client.offset(stage.location)
    if stage.location is None or offset is None:
        stage.location, offset = client.start_upload(), 0
    client.finish(stage.location, stage.new, stage.new[offset:])


def push_what_is_there(stage: Stage) -> None:
    """A blob that the registry has already: its new object dies at once."""
    stage.client.push_blob(stage.there)


def cancel(stage: Stage) -> None:
    """An upload with bytes is cancelled."""
    if stage.location is None:
        stage.location = stage.client.start_upload()
        stage.client.write(stage.location, stage.new, 0)
    stage.client.cancel(stage.location)
    assert stage.client.offset(stage.location) is None


def mount(stage: Stage) -> None:
    """A blob of one repository is mounted into another, which is new."""
    target = Client(stage.client.http, f"{stage.client.repository}/mounted", stage.client.ledger)
    target.mount(digest_of(stage.there), stage.there, stage.client.repository)


def push_manifest(stage: Stage) -> None:
    """A new manifest comes under a new tag."""
    stage.client.put_manifest("comes", stage.second_image)


def move_tag(stage: Stage) -> None:
    """A tag moves from one manifest to another."""
    stage.client.put_manifest("moves", stage.second_image)


def delete_tag(stage: Stage) -> None:
    """A tag is taken away."""
    stage.client.delete_tag("goes")


def delete_manifest(stage: Stage) -> None:
    """A manifest goes, and every tag that stands on it."""
    stage.client.delete_manifest(next(iter(stage.client.ledger.asked))[1])


def delete_blob(stage: Stage) -> None:
    """A blob that nothing names is taken out of a repository; another one keeps it."""
    stage.elsewhere.delete_blob(digest_of(stage.there))


@dataclass(frozen=True)
class Step:
    """A moment in the life of a registry, and what leads there."""

    where: str
    """As the dying server is told: port, moment, and a method or the beginning of a unit's name."""
    work: Callable[[Stage], None]

    @override
    def __str__(self) -> str:
        return f"{self.work.__name__}-{self.where.replace(' ', '-')}"


def _around_commit(unit: str, work: Callable[[Stage], None]) -> list[Step]:
    return [Step(f"database {moment} {unit}", work) for moment in ("uncommitted", "committed")]


STEPS = [
    # A blob comes, from the session's row to the blob's.
    *_around_commit("StartUpload.", push_in_chunks),
    Step("database committed WriteUpload.__call__", push_in_chunks),
    Step("store midway append", push_in_chunks),
    Step("store before sync", push_in_chunks),
    Step("store after sync", push_in_chunks),
    *_around_commit("WriteUpload._checkpoint", push_in_chunks),
    Step("store after sync", finish_with_body),
    Step("database before FinishUpload._commit", push_in_chunks),
    *_around_commit("FinishUpload._commit", push_in_chunks),
    *_around_commit("MountBlob.", mount),
    # Manifests and tags.
    *_around_commit("PushManifest.", push_manifest),
    *_around_commit("PushManifest.", move_tag),
    *_around_commit("DeleteTag.", delete_tag),
    *_around_commit("DeleteManifest.", delete_manifest),
    *_around_commit("DeleteBlob.", delete_blob),
    # The bytes of a dead object go.
    *_around_commit("discard_session.", cancel),
    Step("store before delete", cancel),
    Step("store after delete", cancel),
    Step("store before delete", push_what_is_there),
    Step("database uncommitted delete_buried.", push_what_is_there),
]


def is_interrupted(stage: Stage, step: Step) -> bool:
    """Do the step's work; whether the server vanished under it."""
    try:
        step.work(stage)
    except httpx.TransportError:
        return True
    return False
