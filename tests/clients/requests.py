"""What clients asked a registry, as its log tells."""

import json
from dataclasses import dataclass
from typing import Any

from harness.ports import wait_until
from harness.registry import LiveRegistry

MANIFEST = "/v2/<name>/manifests/<reference>"
BLOB = "/v2/<name>/blobs/<digest>"
UPLOADS = "/v2/<name>/blobs/uploads/"
SESSION = "/v2/<name>/blobs/uploads/<session>"
TOKEN = "/token"

LOG_SECONDS_AT_MOST = 10.0


@dataclass(frozen=True)
class Request:
    """One request and how it was answered."""

    method: str
    route: str
    status: int
    bytes_in: int
    agent: str


class Watch:
    """The requests to one repository, from now on."""

    def __init__(self, registry: LiveRegistry, repository: str | None) -> None:
        """``repository`` is a name without the registry's address, or None for requests about none, as for tokens."""
        self._registry = registry
        self._repository = repository
        self._begin = len(registry.log())

    def requests(self) -> list[Request]:
        """All so far that were answered and logged."""
        lines = self._registry.log()[self._begin :].splitlines()
        entries = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
        answered = (entry for entry in entries if "method" in entry)
        return [_request(entry) for entry in answered if entry.get("repository") == self._repository]

    def count(self, method: str, route: str, status: int) -> int:
        """How many requests were answered like this."""
        return sum((seen.method, seen.route, seen.status) == (method, route, status) for seen in self.requests())

    def wait_for(self, method: str, route: str, status: int, *, times: int = 1) -> None:
        """Wait until so many were logged: a client may be gone a moment before its last line is written."""
        wait_until(
            lambda: self.count(method, route, status) >= times,
            f"{method} {route} is in the log with {status} ({times} times)",
            seconds_at_most=LOG_SECONDS_AT_MOST,
        )


def _request(entry: dict[str, Any]) -> Request:
    return Request(
        entry["method"], entry["route"] or "", entry["status"], entry["bytes_in"], entry.get("user_agent") or ""
    )
