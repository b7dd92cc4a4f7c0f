"""What one connection, request or reader may cost the server."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps and minimum rates of the HTTP server (promise P6); sizes are bytes, counts are per process."""

    header_bytes: int = 32 * 1024
    """Request line and headers together; more is 431."""

    header_count: int = 128
    """Header fields of one request, trailers included; more is 431."""

    target_bytes: int = 16 * 1024
    """Path and query of one request (a manifest PUT may carry 100 tags of 128 characters); more is 414."""

    header_time: timedelta = timedelta(seconds=10)
    """From the first byte of a request, or from the connection's start, until its headers are complete."""

    idle_time: timedelta = timedelta(seconds=75)
    """How long a connection may wait between two requests."""

    minimum_rate: int = 1024
    """Bytes per second that a sender or a reader keeps up over ``rate_window``."""

    rate_window: timedelta = timedelta(seconds=60)
    """A sender or reader that moves less than ``minimum_rate`` x ``rate_window`` in this time is cut."""

    drained_bytes: int = 64 * 1024 * 1024
    """What is read and thrown away of a body that was refused early, so that its sender sees the answer."""

    drain_time: timedelta = timedelta(seconds=5)
    """How long a refused body is read and thrown away."""

    pipelined: int = 16
    """Requests that may wait on one connection behind the one being answered; more end the connection."""

    connections: int = 4096
    """Open connections per process; a further one is answered 503. Lowered to what RLIMIT_NOFILE allows."""

    graceful_time: timedelta = timedelta(seconds=30)
    """How long running requests may go on after SIGTERM."""
