"""Blobs of a repository, read in ranges, from mirrors first (distribution spec, "Pulling blobs")."""

import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from entrepot.client.errors import ClientError, LyingRegistry, NetworkFailure, NotFound
from entrepot.client.origins import Mirror, Origin
from entrepot.client.targets.registry.access import Access, query
from entrepot.client.transport import Answer, Request
from entrepot.oci import Descriptor

PARTS_AT_MOST: Final = 4
_PROGRESS: Final = 1024 * 1024  # bytes; a connection that brought so many may break as often as it likes
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """A blob of a repository; what breaks off goes on from the next byte."""

    access: Access
    descriptor: Descriptor
    parts_at_most: int = PARTS_AT_MOST

    @property
    def repository(self) -> tuple[str, str]:
        """Where it could be mounted from."""
        return (self.access.origin.registry, self.access.route.repository)

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes of a range; a registry that ignores ranges sends all, of which the rest is passed over."""
        end = self.descriptor.size if stop is None else stop
        position = start
        failures = 0
        since = start
        while position < end:
            try:
                async with contextlib.aclosing(self._from_anywhere(position, end)) as found:
                    async for chunk in found:
                        position += len(chunk)
                        yield chunk
            except NetworkFailure as error:
                if position - since >= _PROGRESS:
                    failures, since = 0, position
                failures += 1
                if error.reason not in {"broken-off", "stalled"} or failures > self.access.transport.patience.retries:
                    raise
                continue
            if position < end:
                raise self._lie("short", f"{position - start} bytes of {end - start}")

    async def _from_anywhere(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """From the first mirror that has it, else from the registry."""
        for mirror in self.access.route.mirrors:
            if not mirror.digests:
                continue
            begun = False
            try:
                async with contextlib.aclosing(
                    self._range(mirror.origin, mirror.repository, mirror, start, stop)
                ) as found:
                    async for chunk in found:
                        begun = True
                        yield chunk
            except ClientError:
                # What a mirror cannot do the registry can; what it sent is checked with all the rest.
                if begun:
                    raise
                continue
            return
        origin, repository = self.access.origin, self.access.route.repository
        async with contextlib.aclosing(self._range(origin, repository, None, start, stop)) as found:
            async for chunk in found:
                yield chunk

    async def _range(
        self, origin: Origin, repository: str, mirror: Mirror | None, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        size = self.descriptor.size
        is_whole = start == 0 and stop == size
        request = Request(
            method="GET",
            origin=origin,
            target=f"/v2/{repository}/blobs/{self.descriptor.digest}{query(ns=self.access.namespace(mirror))}",
            subject=self.access.subject(self.descriptor),
            expected=frozenset({200} if is_whole else {200, 206}),
            scopes=self.access.pull_scopes(mirror),
            headers={} if is_whole else {"Range": f"bytes={start}-{stop - 1}"},
        )
        async with self.access.transport.send(request) as answer:
            skipped = self._check_range(answer, start, stop)
            left = stop - start
            async for chunk in answer.chunks():
                wanted = chunk
                if skipped:
                    wanted, skipped = chunk[skipped:], max(0, skipped - len(chunk))
                if not wanted:
                    continue
                if len(wanted) > left:
                    if not is_whole and answer.status == 200:  # ruff: ignore[magic-value-comparison]  OK: all was sent
                        yield wanted[:left]
                        return
                    raise self._lie("too-long", f"more than {stop - start} bytes from {answer.host}")
                left -= len(wanted)
                yield wanted
                if left == 0 and not is_whole:
                    return

    def _check_range(self, answer: Answer, start: int, stop: int) -> int:
        """How many bytes are to be passed over; raises LyingRegistry for a range that was not asked for."""
        size = self.descriptor.size
        if answer.status == 200:  # ruff: ignore[magic-value-comparison]  OK: all is sent
            if answer.size is not None and answer.size != size:
                raise self._lie("size", f"Content-Length: {answer.size}, wanted {size} from {answer.host}")
            return start
        text = answer.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(text)
        if match is None or (int(match[1]), int(match[2]) + 1) != (start, stop) or match[3] not in {"*", str(size)}:
            raise self._lie("range", f"Content-Range: {text}, wanted {start}-{stop - 1}/{size} from {answer.host}")
        return 0

    def _lie(self, reason: str, evidence: str) -> LyingRegistry:
        return LyingRegistry(self.access.subject(self.descriptor), reason=reason, evidence=[evidence])


async def has_blob(access: Access, descriptor: Descriptor) -> bool:
    """Whether the repository has the blob, with the size that it should have."""
    request = Request(
        method="HEAD",
        origin=access.origin,
        target=access.path(f"blobs/{descriptor.digest}"),
        subject=access.subject(descriptor),
        scopes=access.scopes("pull", "push"),
    )
    try:
        async with access.transport.send(request) as answer:
            return answer.size in {None, descriptor.size}
    except NotFound:
        return False
