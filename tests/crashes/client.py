"""A client that pushes, tags and deletes over HTTP, and keeps a ledger of what it was answered."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from crashes.ledger import Ledger
from harness.protocol import digest_of

SECONDS_AT_MOST = 60.0


class Client:
    """One client of a registry that may die under it: then its methods raise httpx.TransportError.

    The ledger is written before a request whose outcome may stay unknown, and again when the answer is there.
    """

    def __init__(self, http: httpx.Client, repository: str, ledger: Ledger) -> None:
        self.http = http
        self.repository = repository
        self.ledger = ledger

    def start_upload(self) -> str:
        """Open a session and return its location."""
        answer = self.http.post(f"/v2/{self.repository}/blobs/uploads/")
        expect(answer, 202)
        return str(answer.headers["location"])

    def write(self, location: str, content: bytes, start: int) -> None:
        """Send ``content`` from ``start`` on as a chunk."""
        if start < len(content):
            chunk = {"Content-Range": f"{start}-{len(content) - 1}"}
            expect(self.http.patch(location, content=content[start:], headers=chunk), 202)

    def finish(self, location: str, content: bytes, body: bytes = b"") -> str:
        """Close the session, with a last body if there is one, and return the digest."""
        digest = digest_of(content)
        self.ledger.gone_blobs.discard((self.repository, digest))
        expect(self.http.put(location, params={"digest": digest}, content=body), 201)
        self.ledger.blobs[self.repository, digest] = content
        return digest

    def offset(self, location: str) -> int | None:
        """How many bytes a session has; None if there is no such session."""
        answer = self.http.get(location)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        expect(answer, 204)
        last = int(answer.headers["range"].partition("-")[2])
        return last + 1 if last else 0

    def push_blob(self, content: bytes, *, in_chunks: bool = False) -> str:
        """Push a blob, in a request of its own or with the closing one."""
        location = self.start_upload()
        if not in_chunks:
            return self.finish(location, content, content)
        self.write(location, content, 0)
        return self.finish(location, content)

    def mount(self, digest: str, content: bytes, source: str) -> None:
        """Mount a blob that ``source`` has."""
        query = {"mount": digest, "from": source}
        self.ledger.gone_blobs.discard((self.repository, digest))
        expect(self.http.post(f"/v2/{self.repository}/blobs/uploads/", params=query), 201)
        self.ledger.blobs[self.repository, digest] = content

    def put_manifest(self, tag: str, manifest: Mapping[str, Any]) -> str:
        """Push a manifest under a tag, which it creates or moves; returns the digest."""
        content = json.dumps(manifest).encode()
        digest = digest_of(content)
        ledger, place = self.ledger, (self.repository, digest)
        ledger.tags[self.repository, tag].add(digest)
        ledger.asked.add(place)
        ledger.gone_manifests.discard(place)
        headers = {"Content-Type": str(manifest["mediaType"])}
        expect(self.http.put(f"/v2/{self.repository}/manifests/{tag}", content=content, headers=headers), 201)
        ledger.manifests[place] = content
        ledger.tags[self.repository, tag] = {digest}
        return digest

    def delete_tag(self, tag: str) -> None:
        """Take a tag away; it is no error that it is gone already."""
        self.ledger.tags[self.repository, tag].add(None)
        expect(self.http.delete(f"/v2/{self.repository}/manifests/{tag}"), 202, 404)
        self.ledger.tags[self.repository, tag] = {None}

    def delete_manifest(self, digest: str) -> None:
        """Take a manifest and the tags on it away; it is no error that it is gone already."""
        ledger, place = self.ledger, (self.repository, digest)
        ledger.manifests.pop(place, None)
        on_it = [key for key, digests in ledger.tags.items() if key[0] == self.repository and digest in digests]
        for key in on_it:
            ledger.tags[key].add(None)
        expect(self.http.delete(f"/v2/{self.repository}/manifests/{digest}"), 202, 404)
        ledger.gone_manifests.add(place)
        for key in on_it:
            ledger.tags[key].discard(digest)

    def delete_blob(self, digest: str) -> None:
        """Take a blob out of the repository; it is no error that it is gone already."""
        self.ledger.blobs.pop((self.repository, digest), None)
        expect(self.http.delete(f"/v2/{self.repository}/blobs/{digest}"), 202, 404)
        self.ledger.gone_blobs.add((self.repository, digest))

    def cancel(self, location: str) -> None:
        """End an upload session; it is no error that it is gone already."""
        expect(self.http.delete(location), 204, 404)


class Refused(Exception):
    """The registry said that it cannot now, and when to ask again."""


def expect(answer: httpx.Response, *statuses: int) -> None:
    """Fail unless the answer has one of these statuses; raises Refused for 503 and 507 with a Retry-After."""
    request = answer.request
    if answer.status_code in {503, 507} and int(answer.headers.get("retry-after", "0")) > 0:
        raise Refused(f"{request.method} {request.url.path}: {answer.status_code} {answer.text}")
    assert answer.status_code in statuses, f"{request.method} {request.url.path}: {answer.status_code} {answer.text}"
