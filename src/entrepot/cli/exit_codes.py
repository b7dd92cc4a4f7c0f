"""The exit codes of every command, one table for server and client."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script can tell from how a command ended."""

    OK = 0
    OTHER = 1
    USAGE = 2
    """Wrong use of the command, or settings that cannot be used."""
    NOT_FOUND = 3
    LOGIN = 4
    """Credentials are missing or wrong."""
    FORBIDDEN = 5
    NETWORK = 6
    """The other side cannot be reached, or its TLS certificate does not hold."""
    RATE_LIMITED = 7
    INTEGRITY = 8
    """Content is not what its digest says."""
    POLICY = 9
    """A policy refuses it."""
    PARTIAL = 10
    """Some of what was asked for was done."""
