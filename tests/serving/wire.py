"""A client of one TCP connection that sends any bytes and reads answers one by one."""

import json
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

PATIENCE: Final = 20.0
"""Seconds until a test that waits for the server gives up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of the first error in the body."""
        code: Any = json.loads(self.body)["errors"][0]["code"]
        return str(code)


class Wire:
    """An open connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._unread = b""

    def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        self.sock.sendall(data)

    def request(self, line: str, *headers: str, body: bytes = b"") -> None:
        """Send a request with a valid ``Host``."""
        self.send("\r\n".join([f"{line} HTTP/1.1", "Host: registry.example", *headers, "", ""]).encode() + body)

    def answer(self, *, head: bool = False) -> Answer:
        """Read one answer whose length is declared."""
        status, headers = self.start()
        body = b"" if head else self.read(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)

    def start(self) -> tuple[int, dict[str, str]]:
        """Read the status and the headers of an answer."""
        head = self._read_until(b"\r\n\r\n").decode("latin-1")
        status_line, *fields = head.split("\r\n")
        pairs = (field.partition(":") for field in fields)
        return int(status_line.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}

    def read(self, length: int) -> bytes:
        """Read exactly so many bytes; EOFError when the server ends the connection before."""
        while len(self._unread) < length:
            self._more()
        data, self._unread = self._unread[:length], self._unread[length:]
        return data

    def read_to_end(self) -> bytes:
        """Read until the server has ended the connection, in whatever way."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError):
            data, self._unread = self._unread, b""
            return data

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._more()
        data, _, self._unread = self._unread.partition(mark)
        return data

    def _more(self) -> None:
        data = self.sock.recv(256 * 1024)
        if not data:
            raise EOFError
        self._unread += data


@contextmanager
def connected(
    port: int, *, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None
) -> Generator[Wire, None, None]:
    """A connection to a port of this machine; ``receive_buffer`` in bytes makes a reader that takes little."""
    with socket.socket() as sock:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", port))
        if tls is None:
            yield Wire(sock)
        else:
            with tls.wrap_socket(sock, server_hostname="localhost") as wrapped:
                yield Wire(wrapped)
