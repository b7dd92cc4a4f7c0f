"""Opening layouts, archives, streams and daemons: what is needed for one is there while it is open."""

import contextlib
import os
import select
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from pathlib import Path
from typing import Final

from entrepot.client.engines import Engine, EnginePlace
from entrepot.client.files import LOOK_SECONDS, READ_BYTES, file_errors, in_thread, in_thread_until_cancelled
from entrepot.client.locations import Kind, Location
from entrepot.client.targets.archives import DockerArchiveWriter, OciArchive
from entrepot.client.targets.docker_archive import DockerArchive
from entrepot.client.targets.layout import Layout, ReadableLayout
from entrepot.client.targets.port import Readable, Writable
from entrepot.client.targets.sinks import FileSink, Sink, StreamSink
from entrepot.client.targets.tar_files import TarFiles

_STDIN: Final = 0
_STDOUT: Final = 1
_PLACES: Final = {Kind.DOCKER_DAEMON: EnginePlace.docker, Kind.PODMAN: EnginePlace.podman}


@contextlib.asynccontextmanager
async def reading(location: Location) -> AsyncGenerator[Readable, None]:
    """What is no registry, to read from."""
    if location.kind is Kind.LAYOUT:
        assert location.path is not None
        yield Layout(location.path, location.text)
        return
    async with _archive(location) as path:
        if location.kind is Kind.OCI_ARCHIVE:
            yield ReadableLayout(await in_thread(TarFiles, path, location.text), location.text)
        else:
            yield await in_thread(DockerArchive, path, location.text)


@contextlib.asynccontextmanager
async def writing(location: Location) -> AsyncGenerator[Writable, None]:
    """What is no registry, to write to."""
    if location.kind is Kind.LAYOUT:
        assert location.path is not None
        yield Layout(location.path, location.text)
        return
    async with contextlib.AsyncExitStack() as stack:
        if location.kind.is_daemon:
            stage = stack.enter_context(_temporary_folder())
            sink: Sink = await stack.enter_async_context(_engine(location))
        elif location.path is None:
            stage = stack.enter_context(_temporary_folder())
            sink = StreamSink(_STDOUT, location.text)
        else:
            stage = location.path.with_name(f"{location.path.name}.partial")
            sink = FileSink(location.path, f"{stage} is kept, and gone on with")
        if location.kind is Kind.OCI_ARCHIVE:
            yield OciArchive(stage, location.text, sink)
        else:
            yield DockerArchiveWriter(stage, location.text, sink, location.names)


async def engine_platform(location: Location) -> str | None:
    """The platform of a daemon's machine, None if it does not tell; raises NetworkFailure."""
    async with _engine(location) as engine:
        return await engine.platform()


@contextlib.asynccontextmanager
async def _archive(location: Location) -> AsyncGenerator[Path, None]:
    """The file of an archive; what comes as a stream is put into one, for its parts are needed in another order."""
    if location.path is not None:
        yield location.path
        return
    with _temporary_folder() as folder:
        file = folder / "archive.tar"
        if location.kind.is_daemon:
            async with (
                _engine(location) as engine,
                contextlib.aclosing(engine.export(location.names[0])) as chunks,
            ):
                await _spool(chunks, file)
        else:
            async with contextlib.aclosing(_stdin()) as chunks:
                await _spool(chunks, file)
        yield file


def _engine(location: Location) -> Engine:
    return Engine(_PLACES[location.kind]())


async def _spool(chunks: AsyncIterator[bytes], path: Path) -> None:
    with file_errors(path), path.open("wb") as file:
        async for chunk in chunks:
            await in_thread(file.write, chunk)


async def _stdin() -> AsyncGenerator[bytes, None]:
    while chunk := await in_thread_until_cancelled(_read_stdin):
        yield chunk


def _read_stdin(stop: threading.Event) -> bytes:
    while not stop.is_set():
        if select.select([_STDIN], [], [], LOOK_SECONDS)[0]:
            return os.read(_STDIN, READ_BYTES)
    return b""


@contextlib.contextmanager
def _temporary_folder() -> Generator[Path, None, None]:
    with tempfile.TemporaryDirectory(prefix="entrepot-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
