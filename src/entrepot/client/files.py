"""Files: reading without stopping the event loop, and the system's refusals as the client's errors."""

import asyncio
import contextlib
import errno
import functools
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from entrepot.client.errors import ClientError, ContentInvalid, DiskFull, NotFound, Unwritable

P = ParamSpec("P")
T = TypeVar("T")

READ_BYTES: Final = 1024 * 1024
LOOK_SECONDS: Final = 0.2
"""How long a thread that waits for others may take to see that it is to give up."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def file_errors(path: Path, *, kept: str = "") -> Generator[None, None, None]:
    """Raise what the system says as DiskFull, NotFound or Unwritable; ``kept`` says what is there to go on with."""
    try:
        yield
    except OSError as error:
        raise file_error(error, path, kept=kept) from error


def file_error(error: OSError, path: Path, *, kept: str = "") -> ClientError:
    """The client's error for one of the system's."""
    evidence = [error.strerror or str(error)]
    if error.errno in _FULL:
        return DiskFull(str(path), cause=kept, evidence=evidence, next_command="the same command, once there is room")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFound(str(path), cause="there is no such file", evidence=evidence)
    return Unwritable(str(path), reason="file", evidence=evidence)


async def read_range(path: Path, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a file from ``start`` to ``stop``, the next piece being read while one is used.

    Raises NotFound, Unwritable; ContentInvalid for a file that ends early.
    """
    loop = asyncio.get_running_loop()
    with file_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ahead = loop.run_in_executor(None, os.pread, descriptor, min(READ_BYTES, stop - start), start)
        position = start
        try:
            while position < stop:
                with file_errors(path):
                    chunk = await ahead
                if not chunk:
                    evidence = [f"{position} bytes of {stop}"]
                    raise ContentInvalid(str(path), reason="short", cause="the file ends too early", evidence=evidence)
                position += len(chunk)
                ahead = loop.run_in_executor(None, os.pread, descriptor, min(READ_BYTES, stop - position), position)
                yield chunk
        finally:
            # The descriptor must not be closed, and so perhaps be another file's, under a read.
            await ended(ahead)
    finally:
        os.close(descriptor)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call something that blocks in a thread; also when this is cancelled it has ended before this does.

    So a descriptor that is closed afterwards is used by nobody.
    """
    return await _called(functools.partial(function, *args, **kwargs), None)


async def in_thread_until_cancelled(
    function: Callable[Concatenate[threading.Event, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call something that may wait for others in a thread; its first argument is set when it is to give up."""
    stop = threading.Event()
    return await _called(functools.partial(function, stop, *args, **kwargs), stop)


async def _called(call: Callable[[], T], stop: threading.Event | None) -> T:
    running = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        await ended(running)
        raise


async def ended(future: "asyncio.Future[Any]") -> None:
    """Wait until it has ended, well or not, also when this is cancelled meanwhile."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()  # it has been seen


def read_bounded(path: Path, at_most: int) -> bytes:
    """A small file as a whole; raises NotFound, Unwritable, ContentInvalid for one that is larger."""
    with file_errors(path), path.open("rb") as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise ContentInvalid(str(path), reason="too-long", cause=f"it has more than {at_most} bytes")
    return content


def write_file(path: Path, content: bytes, folder: Path | None = None, *, is_flushed: bool = True) -> None:
    """Put a file in its place in one step; until then it lies in ``folder``, by default beside. Raises OSError.

    What has another content already has to be flushed, or a power cut could leave neither.
    """
    partial = (folder or path.parent) / f".{path.name}.{secrets.token_hex(4)}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_in_folder(partial, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(content)
            if is_flushed:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def open_in_folder(path: Path, flags: int) -> int:
    """Open or make a file in a folder that is made, too, and that others remove while it is empty; raises OSError."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            if path.parent.exists():
                raise
