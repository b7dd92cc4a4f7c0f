"""Why an address cannot be listened on."""


class ListenError(Exception):
    """An address or its certificate cannot be used; the message is one line that says what to do.

    ``listener`` is the name of the listener, where it is about one; ``free_port`` is the next port of the same host
    that is free, where the wanted one was taken.
    """

    def __init__(self, message: str, *, listener: str | None = None, free_port: int | None = None) -> None:
        super().__init__(message)
        self.listener = listener
        self.free_port = free_port
