"""A way to the registry that stops in the middle of a push until the test lets it go on."""

import contextlib
import socket
import threading
from collections.abc import Generator

CHUNK = 64 * 1024


class HoldingProxy:
    """Passes connections on to the registry; what is sent on one beyond ``hold_after`` bytes waits for ``release``."""

    def __init__(self, target: int, hold_after: int) -> None:
        """``target`` is the registry's port."""
        self.held = threading.Event()
        self.release = threading.Event()
        self._target = target
        self._hold_after = hold_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut every connection."""
        self.release.set()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                registry = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, registry]
                threading.Thread(target=self._pass_on, args=(client, registry, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(registry, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, holds: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while received := source.recv(CHUNK):
                passed += len(received)
                if holds and passed > self._hold_after:
                    self.held.set()
                    self.release.wait()
                target.sendall(received)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def holding_proxy(target: int, *, hold_after: int) -> Generator[HoldingProxy, None, None]:
    """A proxy before the port ``target`` of 127.0.0.1."""
    proxy = HoldingProxy(target, hold_after)
    try:
        yield proxy
    finally:
        proxy.close()
