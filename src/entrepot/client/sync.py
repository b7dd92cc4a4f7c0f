"""The client for programs that are not asynchronous: ``with Client() as client: client.copy(source, target)``.

Each call waits for its end. A client belongs to one thread; inside of a running event loop ``entrepot.client.client``
is the one to use.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from typing import Any, Self, TypeVar

from typing_extensions import Unpack

from entrepot.client.client import Client as AsyncClient
from entrepot.client.copy import Copied, CopiedTags, CopyWords
from entrepot.client.credentials import AnyCredentials, CredentialSource
from entrepot.client.inspecting import Inspected
from entrepot.client.origins import OriginSource
from entrepot.client.progress import Progress, silent
from entrepot.client.transport import Patience
from entrepot.client.transport.proving import Proven
from entrepot.oci import Descriptor, Digest, RepositoryName, Tag

T = TypeVar("T")


class Client:
    """``entrepot.client.client.Client``, whose documentation has the errors too, call by call."""

    def __init__(
        self,
        credentials: CredentialSource | None = None,
        origins: OriginSource | None = None,
        *,
        patience: Patience | None = None,
        client: Callable[[], AsyncClient] | None = None,
    ) -> None:
        """``client`` makes the asynchronous one where the other arguments do not say enough."""
        self._runner = asyncio.Runner()
        made = client or (lambda: AsyncClient(credentials, origins, patience=patience))
        self._client = self._wait(_made(made))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._wait(self._client.close())
        self._runner.close()

    def copy(self, source: str, target: str, *, progress: Progress = silent, **options: Unpack[CopyWords]) -> Copied:
        """Copy an image with everything beneath it, and what refers to it."""
        return self._wait(self._client.copy(source, target, progress=progress, **options))

    def copy_all(
        self, source: str, target: str, *, progress: Progress = silent, **options: Unpack[CopyWords]
    ) -> CopiedTags:
        """Copy what every tag names, under the same tags."""
        return self._wait(self._client.copy_all(source, target, progress=progress, **options))

    def resolve(self, source: str, *, platform: str | None = None) -> Descriptor:
        """What a reference names."""
        return self._wait(self._client.resolve(source, platform=platform))

    def manifest(self, source: str, *, platform: str | None = None) -> tuple[Descriptor, bytes]:
        """A manifest, as it was pushed."""
        return self._wait(self._client.manifest(source, platform=platform))

    def inspect(self, source: str, *, platform: str | None = None) -> Inspected:
        """What an image or index is, what it is made of, and what refers to it."""
        return self._wait(self._client.inspect(source, platform=platform))

    def tags(self, repository: str) -> list[Tag]:
        """All tags of a repository."""
        return self._wait(self._client.tags(repository))

    def repositories(self, registry: str) -> list[RepositoryName]:
        """The repositories of a registry, as far as it lists them."""
        return self._wait(_listed(self._client, registry))

    def tag(self, image: str, tags: Sequence[Tag], *, may_move: bool = True) -> Descriptor:
        """Give an image of a registry more tags."""
        return self._wait(self._client.tag(image, tags, may_move=may_move))

    def untag(self, image: str) -> None:
        """Remove a tag and nothing else."""
        self._wait(self._client.untag(image))

    def delete(self, image: str, *, with_other_tags: bool = False) -> Digest:
        """Delete a manifest with its tag."""
        return self._wait(self._client.delete(image, with_other_tags=with_other_tags))

    def log_in(self, registry: str, credentials: AnyCredentials, repository: str = "") -> Proven:
        """Show a registry credentials, and say what it makes of them."""
        return self._wait(self._client.log_in(registry, credentials, repository))

    def blob_reader(self, image: str, digest: Digest, size: int) -> Generator[bytes, None, None]:
        """The bytes of a blob as they come."""
        chunks = self._client.blob_reader(image, digest, size)
        try:
            while (chunk := self._wait(_next(chunks))) is not None:
                yield chunk
        finally:
            self._wait(chunks.aclose())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


async def _made(make: Callable[[], AsyncClient]) -> AsyncClient:  # ruff: ignore[unused-async]  made inside of the loop that it lives in
    return make()


async def _listed(client: AsyncClient, registry: str) -> list[RepositoryName]:
    return [name async for name in client.repositories(registry)]


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(chunks, None)
