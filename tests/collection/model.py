"""A small reference model of what the registry promises about content over time; made from the promise alone.

It knows what must be there. What it need not keep may be there or not: there the model follows what it observes.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from collection.ledger import Pushed, blobs_of, held


@dataclass(slots=True)
class Repository:
    """Blobs and manifests that are there, each with the time up to which it is promised though nothing refers to it."""

    blobs: dict[str, float] = field(default_factory=dict)
    manifests: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pins: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """Repositories and a clock; durations and instants in seconds."""

    lease: float
    untagged_after: float
    pulled_within: float = 0.0
    keep_untagged: bool = False
    now: float = 0.0
    catalogue: dict[str, Pushed] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)

    def repository(self, name: str) -> Repository:
        """The repository, empty if nothing was pushed to it."""
        return self.repositories.setdefault(name, Repository())

    def show_blob(self, name: str, digest: str, share: float = 1.0) -> None:
        """Promise a blob for that share of a lease."""
        blobs = self.repository(name).blobs
        blobs[digest] = max(blobs.get(digest, 0.0), self.now + share * self.lease)

    def show_manifest(self, name: str, digest: str, share: float = 1.0) -> None:
        """Promise a manifest for that share of a lease."""
        manifests = self.repository(name).manifests
        manifests[digest] = max(manifests.get(digest, 0.0), self.now + share * self.lease)

    def push(self, name: str, pushed: Pushed, tag: str | None) -> None:
        """A manifest was acknowledged."""
        repository = self.repository(name)
        self.show_manifest(name, pushed.digest)
        if tag is None:
            self._release(name, pushed.digest)
        else:
            was = repository.tags.get(tag, pushed.digest)
            repository.tags[tag] = pushed.digest
            if was != pushed.digest:
                self._release(name, was)

    def pull(self, name: str, digest: str) -> None:
        """A manifest was pulled, which keeps one that is no referrer."""
        if self.catalogue[digest].subject is None:
            manifests = self.repository(name).manifests
            manifests[digest] = max(manifests[digest], self.now + self.pulled_within)

    def pin(self, name: str, digest: str, until: float) -> None:
        """A manifest was pinned."""
        pins = self.repository(name).pins
        pins[digest] = max(pins.get(digest, 0.0), until)

    def roots(self, name: str) -> set[str]:
        """What tags and pins keep by themselves."""
        repository = self.repository(name)
        return {*repository.tags.values(), *(digest for digest, until in repository.pins.items() if until > self.now)}

    def delete_tag(self, name: str, tag: str) -> None:
        """A tag was taken away."""
        self._release(name, self.repository(name).tags.pop(tag))

    def remove_manifest(self, name: str, digest: str) -> None:
        """A manifest has gone: what it alone has kept is promised for a while."""
        repository = self.repository(name)
        del repository.manifests[digest]
        repository.tags = {tag: on for tag, on in repository.tags.items() if on != digest}
        gone = self.catalogue[digest]
        for other in list(repository.manifests):
            if other in gone.children or other == gone.subject or self.catalogue[other].subject == digest:
                self._release(name, other)
        for blob in gone.blobs & set(repository.blobs):
            self.show_blob(name, blob)

    def present(self, name: str) -> dict[str, Pushed]:
        """The manifests that are there."""
        return {digest: self.catalogue[digest] for digest in self.repository(name).manifests}

    def needed_manifests(self, name: str) -> set[str]:
        """The manifests that must be there: by tags, or because they were shown a moment ago, and what those keep."""
        repository, present = self.repository(name), self.present(name)
        if self.keep_untagged:
            return set(present)
        needed = held(self.roots(name), present)
        to_follow = [digest for digest, until in repository.manifests.items() if until > self.now]
        while to_follow:
            digest = to_follow.pop()
            if digest not in needed:
                needed.add(digest)
                referrers = {other for other in present if present[other].subject == digest}
                to_follow += (present[digest].children & set(present)) | referrers
        return needed

    def needed_blobs(self, name: str) -> set[str]:
        """The blobs that must be there: those that a manifest names, and those that were shown a moment ago."""
        repository = self.repository(name)
        named = blobs_of(self.present(name).values())
        return {digest for digest, until in repository.blobs.items() if digest in named or until > self.now}

    def observe(self, name: str, manifests: Collection[str], blobs: Collection[str]) -> None:
        """Follow what is there after a collection; fails if something is gone that must not be, or came by itself."""
        repository = self.repository(name)
        assert set(manifests) <= set(repository.manifests)
        assert set(blobs) <= set(repository.blobs)
        assert self.needed_manifests(name) <= set(manifests), "a manifest is lost"
        assert self.needed_blobs(name) <= set(blobs), "a blob is lost"
        for digest in set(repository.manifests) - set(manifests):
            self.remove_manifest(name, digest)
        for digest in set(repository.blobs) - set(blobs):
            del repository.blobs[digest]

    def _release(self, name: str, digest: str) -> None:
        """A manifest has lost a reference, or never had one."""
        manifests = self.repository(name).manifests
        stays = self.lease if self.catalogue[digest].subject else max(self.lease, self.untagged_after)
        manifests[digest] = max(manifests[digest], self.now + stays)
