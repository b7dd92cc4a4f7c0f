"""Lists: tags, repositories, referrers (distribution spec, "Content Discovery", end-8 and end-12)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from entrepot.metadata import (
    Database,
    Transaction,
    find_repository,
    list_referrers,
    list_repositories,
    list_tags,
)
from entrepot.oci import Descriptor, Digest, NameUnknown, RepositoryName, Tag, is_media_type

Item = TypeVar("Item")

_REFERRERS_AT_MOST = 1000  # rows per page; the body's size ends a page earlier
_ROWS_AT_A_TIME = 1000  # of the catalog, once the first rows were not enough
_ROWS_AT_MOST = 10_000  # of the catalog for one page, however few of them the caller may see: some 100 ms
_ANNOTATION_CHARACTERS_AT_MOST = 4 * 1024 * 1024  # of one page: each manifest may have nearly as many


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items in their order, and whether there are more after the last one.

    ``seen`` is where the search ended when it had to end before the page was full; the caller may not know that name.
    """

    items: list[Item]
    more: bool
    seen: str | None = None


def _page(items: list[Item], at_most: int) -> Page[Item]:
    return Page(items[:at_most], len(items) > at_most)


@dataclass(frozen=True, slots=True)
class ListTags:
    """The tags of a repository in byte order."""

    database: Database

    async def __call__(self, name: RepositoryName, last: str, at_most: int) -> Page[Tag]:
        """Up to ``at_most`` tags after ``last``; raises NameUnknown."""

        def unit(tx: Transaction) -> list[Tag]:
            repository_id = find_repository(tx, name)
            if repository_id is None:
                raise NameUnknown(name=name.text)
            return list_tags(tx, repository_id, last, at_most + 1) if at_most else []

        return _page(await self.database.read(unit), at_most)


@dataclass(frozen=True, slots=True)
class ListRepositories:
    """The catalog in byte order, narrowed to what the caller may pull."""

    database: Database

    async def __call__(
        self,
        last: str,
        at_most: int,
        readable: Callable[[RepositoryName], Awaitable[bool]],
        prefixes: Sequence[str] = ("",),
    ) -> Page[RepositoryName]:
        """Up to ``at_most`` names after ``last`` that ``readable`` lets through.

        All of them begin with one of ``prefixes``, which are in order and none the beginning of another: what lies
        between is not looked at. Looks at ten thousand rows or a few more, and then ends the page short, or empty.
        """
        names: list[RepositoryName] = []
        left = list(prefixes) if at_most else []
        size, rows = at_most + 1, 0
        while left and len(names) <= at_most:
            if rows >= _ROWS_AT_MOST:
                return Page(names, more=True, seen=last)
            batch = await self._read(last, size, left[0])
            names += [name for name in batch if await readable(name)]
            if len(batch) < size:
                left.pop(0)
            rows += len(batch) + 1
            if batch:
                last, size = batch[-1].text, max(size, _ROWS_AT_A_TIME)
        return _page(names, at_most)

    async def _read(self, last: str, at_most: int, prefix: str) -> list[RepositoryName]:
        return await self.database.read(lambda tx: list_repositories(tx, last, at_most, prefix))


@dataclass(frozen=True, slots=True)
class ListReferrers:
    """The manifests that name a subject, in the order of digests."""

    database: Database

    async def __call__(
        self, name: RepositoryName, subject: Digest, artifact_type: str | None, last: Digest | None
    ) -> Page[Descriptor]:
        """A page of referrers after ``last``; empty, too, for a repository that does not exist."""
        if artifact_type is not None and not is_media_type(artifact_type):
            return Page([], more=False)  # nothing is stored under what is none

        def unit(tx: Transaction) -> tuple[list[Descriptor], bool]:
            repository_id = find_repository(tx, name)
            if repository_id is None:
                return [], False
            return list_referrers(
                tx, repository_id, subject, artifact_type, last, _REFERRERS_AT_MOST, _ANNOTATION_CHARACTERS_AT_MOST
            )

        return Page(*await self.database.read(unit))
