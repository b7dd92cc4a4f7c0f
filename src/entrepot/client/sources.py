"""Bytes that come from one place and go to another: whose failure it is when they do not arrive."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator

from entrepot.client.errors import ClientError


class Sourced:
    """Some bytes on their way to a server, and why they could not be had."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._failure: ClientError | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes; raises what their source raises."""
        try:
            async for chunk in self._chunks:
                yield chunk
        except ClientError as failure:
            self._failure = failure
            raise

    @contextlib.contextmanager
    def blamed(self) -> Generator[None, None, None]:
        """Raise the failure of the source in place of those of the connection that it brings about."""
        try:
            yield
        except Exception as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            raise
