"""Sending a blob: mount, one PUT, or chunks that go on where they stopped (distribution spec, "Pushing blobs")."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

from entrepot.client.errors import (
    ClientError,
    DigestMismatch,
    Forbidden,
    LoginRequired,
    LyingRegistry,
    NetworkFailure,
    NotFound,
    RegistryRefused,
    ServerFailure,
)
from entrepot.client.progress import Event, Progress, Stage
from entrepot.client.targets.port import BlobContent
from entrepot.client.targets.registry.access import Access, query, with_query
from entrepot.client.targets.registry.saved_uploads import SavedUpload
from entrepot.client.transport import Body, Request

CHUNK_BYTES: Final = 32 * 1024 * 1024
"""The length of chunks unless told otherwise: what is sent twice at most after a failure."""
SMALLEST_CHUNK_BYTES: Final = 5 * 1024 * 1024  # registries on object stores take no smaller ones
LARGE_CHUNK_BYTES: Final = 256 * 1024 * 1024
"""How long chunks grow while each is sent within a second: registries do much at the end of each."""
CHUNK_BYTES_AT_MOST: Final = 1024 * 1024 * 1024
SESSIONS_AT_MOST: Final = 3  # begun for one blob, when registries forget them
_FAST_CHUNK: Final = 1.0  # seconds
_LOCATION_CHARACTERS_AT_MOST: Final = 16 * 1024

_RANGE = re.compile(r"(?:bytes[= ])?0-([0-9]{1,19})", re.ASCII)
_TOO_LARGE: Final = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE})


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """How a large blob is cut: chunks of so many bytes, or one request for all where ``size`` is None."""

    size: int | None = CHUNK_BYTES
    is_automatic: bool = True
    """Whether the length follows what the registry and the network bear."""


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """How blobs are sent."""

    chunk_size: ChunkSize = ChunkSize()

    @property
    def whole_at_most(self) -> int | None:
        """Blobs of up to so many bytes are sent in one PUT at first; None for all."""
        return self.chunk_size.size


@dataclass(frozen=True, slots=True)
class _Session:
    """An upload session: where to send next, and how many bytes the registry has."""

    location: str
    offset: int
    chunk_at_least: int = 0


class Upload:
    """One blob on its way into one repository."""

    def __init__(
        self,
        access: Access,
        content: BlobContent,
        saved: SavedUpload,
        settings: UploadSettings,
        progress: Progress,
    ) -> None:
        self._access = access
        self._content = content
        self._descriptor = content.descriptor
        self._saved = saved
        self._progress = progress
        self._settings = settings
        self._chunk = settings.chunk_size.size or max(content.descriptor.size, 1)
        self._patience = access.transport.patience
        self._subject = access.subject(content.descriptor)
        self._was_resumed = False
        self._may_grow = settings.chunk_size.is_automatic

    async def run(self, mount_from: str | None) -> Stage:
        """Make the blob be there and say how it came; raises the client's errors when it cannot be."""
        session = await self._resumed()
        if session is None:
            session = await self._mounted(mount_from) if mount_from is not None else await self._started(None)
            if session is None:
                return Stage.MOUNTED
        self._progress(Event(Stage.STARTED, self._descriptor, session.offset))
        for _ in range(SESSIONS_AT_MOST):
            try:
                await self._sent(session)
            except NotFound as error:
                if error.subject != self._subject:
                    raise  # it is the source that lacks something
                # The registry has forgotten the session, as it may at any time.
                self._saved.forget()
            except DigestMismatch:
                self._saved.forget()
                if not self._was_resumed:
                    raise
            else:
                self._saved.forget()
                return Stage.DONE
            self._was_resumed = False
            session = await self._started(None)
            assert session is not None
        raise ServerFailure(self._subject, reason="sessions", cause="the registry forgets uploads under way")

    async def _resumed(self) -> _Session | None:
        """The session of an earlier process, if the registry still knows it."""
        location = self._saved.location
        if location is None:
            return None
        try:
            session = await self._status(_Session(location, 0))
        except (NotFound, RegistryRefused, LyingRegistry):
            self._saved.forget()
            return None
        self._was_resumed = session.offset > 0
        return session

    async def _mounted(self, mount_from: str) -> _Session | None:
        """None where the blob was mounted; a repository that is gone or closed to us is no reason to give up."""
        try:
            return await self._started(mount_from)
        except (NotFound, Forbidden, LoginRequired, RegistryRefused):
            return await self._started(None)

    async def _started(self, mount_from: str | None) -> _Session | None:
        """A new session (end-4), None where the blob was mounted instead (end-11)."""
        digest = self._descriptor.digest
        mount = None if mount_from is None else str(digest)
        request = self._request(
            "POST",
            self._access.path(f"blobs/uploads/{query(mount=mount, **({'from': mount_from} if mount_from else {}))}"),
            frozenset({201, 202}) if mount else frozenset({202}),
            mounted_from=mount_from,
            is_retried=True,
        )
        async with self._access.transport.send(request) as answer:
            if answer.status == HTTPStatus.CREATED:
                return None
            minimum = answer.headers.get("OCI-Chunk-Min-Length", "")
            at_least = int(minimum) if re.fullmatch(r"[0-9]{1,10}", minimum) else 0
            session = _Session(self._location(answer.headers, answer.url), 0, min(at_least, CHUNK_BYTES_AT_MOST))
        self._save(session)
        return session

    async def _sent(self, session: _Session) -> None:
        """Send what is missing, in one request or in chunks, and close the session."""
        size = self._descriptor.size
        whole_at_most = self._settings.whole_at_most
        if session.offset == 0 and (whole_at_most is None or size <= whole_at_most):
            try:
                return await self._put(session, 0)
            except (NetworkFailure, RegistryRefused) as error:
                if not self._may_go_on(error):
                    raise
                self._shrink(session)
                session = await self._status_after(error, session)
        session = await self._chunked(session)
        await self._closed(session)
        return None

    async def _chunked(self, session: _Session) -> _Session:
        """Send chunk after chunk until the registry has all bytes (end-5)."""
        failures = 0
        while session.offset < self._descriptor.size:
            before = session.offset
            try:
                session = await self._patch(session)
            except (NetworkFailure, RegistryRefused) as error:
                failures += 1
                if not self._may_go_on(error) or failures > self._patience.retries:
                    raise
                is_late = error.detail.get("status") == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                if not is_late:
                    self._shrink(session)
                    await asyncio.sleep(self._patience.pause(failures))
                session = await self._status_after(error, session)
            if session.offset > before:
                failures = 0
        return session

    async def _patch(self, session: _Session) -> _Session:
        start, began = session.offset, time.monotonic()
        chunk = max(self._chunk, session.chunk_at_least)
        stop = min(start + chunk, self._descriptor.size)
        request = self._request(
            "PATCH",
            session.location,
            frozenset({201, 202, 204}),
            headers={"Content-Range": f"{start}-{stop - 1}"},
            body=self._body(start, stop),
        )
        async with self._access.transport.send(request) as answer:
            offset = self._offset(answer.headers, default=stop)
            if offset > stop:
                raise LyingRegistry(
                    self._subject, reason="offset", evidence=[f"{stop} bytes were sent, it tells {offset}"]
                )
            moved = replace(
                session, location=self._location(answer.headers, answer.url, session.location), offset=offset
            )
        self._save(moved)
        if offset <= start:
            raise ServerFailure(self._subject, reason="no-progress", cause="the registry keeps nothing of what it took")
        if self._may_grow and time.monotonic() - began < _FAST_CHUNK:
            self._chunk = min(self._chunk * 2, LARGE_CHUNK_BYTES)
        return moved

    async def _status(self, session: _Session) -> _Session:
        """How many bytes the registry has (end-13)."""
        request = self._request("GET", session.location, frozenset({200, 204}), is_retried=True)
        async with self._access.transport.send(request) as answer:
            location = self._location(answer.headers, answer.url, session.location)
            found = replace(session, location=location, offset=self._offset(answer.headers, default=0))
        if found.offset > self._descriptor.size:
            raise NotFound(self._subject, evidence=[f"the session has {found.offset} bytes"])
        self._save(found)
        return found

    async def _status_after(self, error: ClientError, session: _Session) -> _Session:
        """The status after a failure; a session that the failure has ended is begun anew."""
        try:
            return await self._status(session)
        except (RegistryRefused, LyingRegistry):
            raise NotFound(self._subject, evidence=error.evidence) from error

    async def _closed(self, session: _Session) -> None:
        """Close a session whose bytes are all there (end-6); what is asked twice may have been done the first time."""
        failures = 0
        while True:
            try:
                return await self._put(session, session.offset)
            except NetworkFailure:
                failures += 1
                if failures > self._patience.retries:
                    raise
                await asyncio.sleep(self._patience.pause(failures))

    async def _put(self, session: _Session, start: int) -> None:
        """Close the session, with all bytes or with none."""
        size = self._descriptor.size
        target = with_query(session.location, digest=str(self._descriptor.digest))
        body = self._body(start, size)
        request = self._request("PUT", target, frozenset({201, 202, 204}), body=body)
        try:
            async with self._access.transport.send(request) as answer:
                told = answer.headers.get("Docker-Content-Digest")
        except RegistryRefused as error:
            if "DIGEST_INVALID" in str(error.detail.get("codes")):
                raise DigestMismatch(
                    self._subject,
                    cause="what was sent has another digest",
                    evidence=error.evidence,
                    expected=str(self._descriptor.digest),
                ) from error
            raise
        if told is not None and told != str(self._descriptor.digest):
            raise LyingRegistry(self._subject, reason="digest", evidence=[f"it says to have stored {told}"])

    def _body(self, start: int, stop: int) -> Body:
        async def chunks() -> AsyncIterator[bytes]:
            position = start
            async with contextlib.aclosing(self._content.chunks(start, stop)) as found:
                async for chunk in found:
                    yield chunk
                    position += len(chunk)
                    self._progress(Event(Stage.MOVED, self._descriptor, position))

        return Body(stop - start, chunks)

    def _may_go_on(self, error: ClientError) -> bool:
        """Whether sending smaller pieces, or the same again from the registry's offset, may help."""
        if isinstance(error, NetworkFailure):
            return error.reason in {"broken-off", "stalled", "refused", "status", "no-progress"}
        return error.detail.get("status") in {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        }

    def _shrink(self, session: _Session) -> None:
        """Go on with smaller chunks, down to what registries take."""
        self._may_grow = False
        smallest = max(SMALLEST_CHUNK_BYTES, session.chunk_at_least)
        if self._settings.chunk_size.is_automatic and self._chunk > smallest:
            self._chunk = max(smallest, min(self._chunk, self._descriptor.size) // 4)

    def _offset(self, headers: Mapping[str, str], *, default: int) -> int:
        """The bytes that a registry tells to have; ``0-0`` means none, for no chunk ever has one byte."""
        text = headers.get("Range")
        if text is None:
            return default
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise LyingRegistry(self._subject, reason="range", evidence=[f"Range: {text}"])
        last = int(match[1])
        return last + 1 if last else 0

    def _location(self, headers: Mapping[str, str], url: str, default: str | None = None) -> str:
        """Where to go on, as an absolute URL."""
        text = headers.get("Location", default)
        if text is None or len(text) > _LOCATION_CHARACTERS_AT_MOST:
            raise LyingRegistry(self._subject, reason="location", cause="it does not say where to send the blob")
        return urljoin(url, text)

    def _save(self, session: _Session) -> None:
        """Save where to go on, unless it is elsewhere: such a URL may carry a signature, which is a secret."""
        if urlsplit(session.location).hostname == self._access.origin.host:
            self._saved.save(session.location)

    def _request(
        self,
        method: str,
        target: str,
        expected: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        mounted_from: str | None = None,
        is_retried: bool = False,
    ) -> Request:
        return Request(
            method=method,
            origin=self._access.origin,
            target=target,
            subject=self._subject,
            expected=expected,
            scopes=self._access.scopes("pull", "push", mounted_from=mounted_from),
            headers=headers or {},
            body=body if body is not None or method == "GET" else Body(0, _nothing),
            is_retried=is_retried,
        )


async def _nothing() -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  the type of all bodies
    yield b""
