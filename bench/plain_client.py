"""Requests one at a time, on the standard library: preparing, checking, and large bodies."""

import hashlib
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bench.content import EMPTY, MANIFEST_TYPE, digest_of, layers, manifest
from bench.errors import WrongAnswer
from bench.jobs import Job
from bench.sizes import MIB

_SECONDS_AT_MOST: Final = 120
_RECEIVED_AT_A_TIME: Final = MIB


@dataclass(frozen=True, slots=True)
class PlainClient:
    """A connection to a registry, and what its requests have in common."""

    connection: http.client.HTTPConnection
    job: Job

    @classmethod
    def of(cls, job: Job) -> "PlainClient":
        """A client for one job; it connects with its first request."""
        return cls(http.client.HTTPConnection("127.0.0.1", job.port, timeout=_SECONDS_AT_MOST), job)

    @property
    def base(self) -> str:
        """The path of the job's repository."""
        return f"/v2/{self.job.repository}"

    def push_image(self) -> None:
        """Push the layers, the config and manifest 0 under the tag ``v0``."""
        for content in [EMPTY, *layers(self.job.seed)]:
            self.put(self.start_upload(digest_of(content)), digest_of(content), len(content), iter([content]))
        content = manifest(self.job.seed, 0)
        path = f"{self.base}/manifests/v0"
        self.put(path, digest_of(content), len(content), iter([content]), MANIFEST_TYPE)

    def start_upload(self, digest: str) -> str:
        """Open an upload; returns the path to close it at."""
        self.connection.request("POST", f"{self.base}/blobs/uploads/", headers=self.job.headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != http.client.ACCEPTED:
            raise WrongAnswer(f"POST: 202 was expected: {answer.status} {said[:500]!r}")
        return closing_path(answer.headers["Location"], digest)

    def put(
        self, path: str, digest: str, length: int, body: Iterator[bytes], media_type: str = "application/octet-stream"
    ) -> None:
        """Push a body; 201 with its digest is the only right answer."""
        headers = {"Content-Length": str(length), "Content-Type": media_type, **self.job.headers}
        self.connection.request("PUT", path, body, headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != http.client.CREATED or answer.headers["Docker-Content-Digest"] != digest:
            raise WrongAnswer(f"PUT: 201 with {digest} was expected: {answer.status} {answer.headers} {said[:500]!r}")

    def get(self, path: str, digest: str, length: int, *, is_hashed: bool) -> float:
        """Read some content and return the seconds that took; what is not hashed is only counted."""
        began = time.perf_counter()
        self.connection.request("GET", path, headers={"Accept": MANIFEST_TYPE, **self.job.headers})
        answer = self.connection.getresponse()
        if answer.status != http.client.OK or answer.headers["Docker-Content-Digest"] != digest:
            raise WrongAnswer(f"GET {path}: 200 with {digest} was expected: {answer.status} {answer.headers}")
        buffer = memoryview(bytearray(_RECEIVED_AT_A_TIME))
        hashing = hashlib.sha256()
        arrived = 0
        while count := answer.readinto(buffer):
            arrived += count
            if is_hashed:
                hashing.update(buffer[:count])
        took = time.perf_counter() - began
        if arrived != length or (is_hashed and f"sha256:{hashing.hexdigest()}" != digest):
            raise WrongAnswer(f"GET {path}: other content than {digest} of {length} bytes: {arrived} bytes")
        return took

    def get_token(self) -> str:
        """The header with a token that may pull from the job's repository, for the job's own credentials."""
        path = f"/token?service=entrepot&scope=repository:{self.job.repository}:pull"
        self.connection.request("GET", path, headers=self.job.headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != http.client.OK:
            raise WrongAnswer(f"GET /token: 200 was expected: {answer.status} {said[:500]!r}")
        return f"Bearer {json.loads(said)['token']}"

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def closing_path(location: str, digest: str) -> str:
    """The path and query to close an upload at, from its location."""
    parts = urlsplit(location)
    query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
    return f"{parts.path}?{query}"
