"""Where an archive goes that is whole: a file, or a stream."""

import contextlib
import os
import select
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

from entrepot.client.errors import UnsupportedHere
from entrepot.client.files import LOOK_SECONDS, file_errors, in_thread, in_thread_until_cancelled


class Sink(Protocol):
    """Takes an archive."""

    async def take(self, size: int, chunks: AsyncGenerator[bytes, None]) -> None:
        """Take the ``size`` bytes of an archive; raises the client's errors."""
        ...


class FileSink:
    """Implements Sink: a file that is there when it is whole."""

    def __init__(self, path: Path, kept: str) -> None:
        """``kept`` says what is there to go on with when it cannot be written."""
        self._path = path
        self._kept = kept

    async def take(self, size: int, chunks: AsyncGenerator[bytes, None]) -> None:
        """Write beside, flush, and put in place; raises DiskFull, Unwritable."""
        del size
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")
        with file_errors(self._path, kept=self._kept):
            try:
                with partial.open("wb") as file:
                    async with contextlib.aclosing(chunks):
                        async for chunk in chunks:
                            await in_thread(file.write, chunk)
                    await in_thread(file.flush)
                    await in_thread(os.fsync, file.fileno())
                partial.replace(self._path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise


class StreamSink:
    """Implements Sink: standard output, or another open descriptor that others read."""

    def __init__(self, descriptor: int, label: str) -> None:
        """Raises UnsupportedHere for a terminal."""
        self._descriptor = descriptor
        self._label = label
        if os.isatty(descriptor):
            cause = "an archive is not for a terminal"
            raise UnsupportedHere(label, reason="terminal", cause=cause, next_command="the same command with > FILE")

    async def take(self, size: int, chunks: AsyncGenerator[bytes, None]) -> None:
        """Write it all; raises Unwritable when nobody reads any more."""
        del size
        was_blocking = os.get_blocking(self._descriptor)
        os.set_blocking(self._descriptor, False)
        try:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    with file_errors(Path(self._label)):
                        await in_thread_until_cancelled(self._write, chunk)
        finally:
            os.set_blocking(self._descriptor, was_blocking)

    def _write(self, stop: threading.Event, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view and not stop.is_set():
            if select.select([], [self._descriptor], [], LOOK_SECONDS)[1]:
                with contextlib.suppress(BlockingIOError):
                    view = view[os.write(self._descriptor, view) :]
