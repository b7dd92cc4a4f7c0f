"""Lists of tags and repositories, page by page (distribution spec, "Listing Tags"; Docker's catalog)."""

import json
from collections.abc import AsyncGenerator
from typing import Final

from entrepot.client.errors import LyingRegistry
from entrepot.client.origins import Origin
from entrepot.client.targets.registry.access import Access
from entrepot.client.targets.registry.referrers import next_page
from entrepot.client.transport import Request, Scope, Transport
from entrepot.oci import NameInvalid, RepositoryName, Tag, TagInvalid

PAGE: Final = 1000
PAGE_BYTES_AT_MOST: Final = 8 * 1024 * 1024
PAGES_AT_MOST: Final = 100_000


async def list_tags(access: Access) -> AsyncGenerator[Tag, None]:
    """The tags of a repository as the registry orders them; raises NotFound."""
    target = access.path(f"tags/list?n={PAGE}")
    async for text in _pages(access.transport, access.origin, target, "tags", access.place, access.scopes("pull")):
        try:
            yield Tag.parse(text)
        except TagInvalid:
            raise LyingRegistry(access.place, reason="tag", evidence=[f"it lists the tag {text!r}"]) from None


async def list_repositories(transport: Transport, origin: Origin) -> AsyncGenerator[RepositoryName, None]:
    """The repositories of a registry that may be listed; many registries show none to anybody."""
    scopes = frozenset({Scope.catalog()})
    target = f"/v2/_catalog?n={PAGE}"
    async for text in _pages(transport, origin, target, "repositories", origin.registry, scopes):
        try:
            yield RepositoryName.parse(text)
        except NameInvalid:
            raise LyingRegistry(origin.registry, reason="name", evidence=[f"it lists {text!r}"]) from None


async def _pages(
    transport: Transport, origin: Origin, target: str, key: str, subject: str, scopes: frozenset[Scope]
) -> AsyncGenerator[str, None]:
    wanted: str | None = target
    for _ in range(PAGES_AT_MOST):
        request = Request(method="GET", origin=origin, target=wanted or "", subject=subject, scopes=scopes)
        async with transport.send(request) as answer:
            content = await answer.read(PAGE_BYTES_AT_MOST)
            following = next_page(answer.headers.get("Link"), answer.url)
        texts = _texts(content, key, subject)
        for text in texts:
            yield text
        if following is None or following == wanted or not texts:
            return
        wanted = following


def _texts(content: bytes, key: str, subject: str) -> list[str]:
    try:
        found = json.loads(content)[key] or []
        if isinstance(found, list) and all(isinstance(text, str) for text in found):
            return found
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise LyingRegistry(subject, reason="list", cause="this is no list as registries send it")
