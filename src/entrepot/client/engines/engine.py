"""What a daemon is asked for (Docker Engine API: "Export an image", "Import images", "Get version").

podman's service speaks the same.
"""

import contextlib
import json
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from entrepot.client.engines.places import EnginePlace
from entrepot.client.errors import ConfigurationInvalid, ContentInvalid, NetworkFailure, NotFound, printable
from entrepot.client.references import ImageReference
from entrepot.client.sources import Sourced

_SECONDS_TO_CONNECT: Final = 10
_SECONDS_AT_REST: Final = 600  # packing and unpacking large images is silent
_ANSWER_BYTES_AT_MOST: Final = 1024 * 1024


class Engine:
    """A connection to a daemon, to be closed."""

    def __init__(self, place: EnginePlace) -> None:
        self._place = place
        self._trust = _trust(place.certificates)
        if place.socket is not None:
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(str(place.socket))
        else:
            connector = aiohttp.TCPConnector()
        scheme = "https" if place.certificates is not None else "http"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS_TO_CONNECT, sock_read=_SECONDS_AT_REST)
        self._session = aiohttp.ClientSession(
            f"{scheme}://{place.address or 'localhost'}/", connector=connector, timeout=timeout, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._session.close()

    @property
    def name(self) -> str:
        """As messages name it."""
        return f"{self._place.program} at {self._place.label}"

    async def platform(self) -> str | None:
        """``os/architecture`` of the images that it runs; raises NetworkFailure."""
        async with self._asked("GET", "version") as answer:
            found = _document(await self._read(answer))
        system, architecture = found.get("Os"), found.get("Arch")
        return f"{system}/{architecture}" if isinstance(system, str) and isinstance(architecture, str) else None

    async def export(self, image: ImageReference) -> AsyncGenerator[bytes, None]:
        """An image as `docker save` writes it; raises NotFound, NetworkFailure."""
        async with self._asked("GET", f"images/{_tagged(image)}/get") as answer:
            if answer.status == 404:  # ruff: ignore[magic-value-comparison]  there is no such image
                evidence = [f"{self.name} says: {_told(await self._read(answer))}"]
                cause = f"{self._place.program} has no image of this name"
                raise NotFound(str(image), cause=cause, evidence=evidence)
            self._check(answer.status, await self._read(answer) if answer.status >= 400 else b"")  # ruff: ignore[magic-value-comparison]
            async for chunk, _ in answer.content.iter_chunks():
                if chunk:
                    yield chunk

    async def take(self, size: int, chunks: AsyncGenerator[bytes, None]) -> None:
        """Implements Sink: load an archive; raises ContentInvalid if it is refused, NetworkFailure."""
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        sourced = Sourced(chunks)
        with sourced.blamed():
            async with (
                contextlib.aclosing(chunks),
                self._asked("POST", "images/load?quiet=1", data=sourced.chunks(), headers=headers) as answer,
            ):
                said = await self._read(answer)
        self._check(answer.status, said)
        for line in said.splitlines():
            told = _document(line)
            if "error" in told:
                cause = f"{self._place.program} does not take it"
                raise ContentInvalid(self.name, reason="load", cause=cause, evidence=[printable(str(told["error"]))])

    @contextlib.asynccontextmanager
    async def _asked(self, method: str, path: str, **parts: Any) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        try:
            async with self._session.request(method, path, allow_redirects=False, ssl=self._trust, **parts) as answer:
                yield answer
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            program = self._place.program
            hints = {
                "docker": "start it (systemctl start docker), or say with DOCKER_HOST where it is",
                "podman": "systemctl --user start podman.socket, or say with CONTAINER_HOST where it is",
            }
            raise NetworkFailure(
                self.name,
                reason="engine",
                cause=f"{program} does not listen there, or it does not let this user in",
                evidence=[str(error) or type(error).__name__],
                next_command=hints[program],
            ) from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """All that is answered, of a long answer the end: that is where failures are told."""
        said = b""
        while chunk := await answer.content.read(_ANSWER_BYTES_AT_MOST):
            said = (said + chunk)[-_ANSWER_BYTES_AT_MOST:]
        return said

    def _check(self, status: int, said: bytes) -> None:
        if status >= 400:  # ruff: ignore[magic-value-comparison]  a refusal
            evidence = [f"status {status}: {_told(said)}"]
            raise NetworkFailure(self.name, reason="engine", cause="the daemon refuses this", evidence=evidence)


def _tagged(image: ImageReference) -> str:
    reference = image.reference
    return f"{image.place}{'@' if image.digest is not None else ':'}{reference}"


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(said: bytes) -> str:
    told = _document(said)
    return printable(str(told.get("message") or told.get("cause") or said[:300].decode("utf-8", "replace")))


def _trust(folder: Path | None) -> ssl.SSLContext | bool:
    """Whom to trust; without a folder of certificates no TLS is spoken."""
    if folder is None:
        return True
    try:
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:
        cause = "ca.pem, cert.pem and key.pem of the daemon are expected there"
        raise ConfigurationInvalid(str(folder), reason="pem", cause=cause, evidence=[str(error)]) from error
    return context
