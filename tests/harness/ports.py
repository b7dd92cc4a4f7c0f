"""Waiting for programs that listen, without guessing how long they take."""

import socket
import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago; who starts a server there must bear a collision."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(is_so: Callable[[], bool], what: str, *, seconds_at_most: float) -> None:
    """Return as soon as ``is_so()``; TimeoutError naming ``what`` when it has not become so in time."""
    deadline = time.monotonic() + seconds_at_most
    while not is_so():
        if time.monotonic() > deadline:
            message = f"{what}: not within {seconds_at_most:g} seconds"
            raise TimeoutError(message)
        time.sleep(POLL_SECONDS)
