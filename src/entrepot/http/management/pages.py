"""Lists by pages: so many items, and where to go on, as an opaque text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from starlette.requests import Request

from entrepot.http.cursors import Cursors
from entrepot.http.management.context import management_of
from entrepot.oci import PaginationInvalid

PAGE: Final = 100
PAGE_AT_MOST: Final = 1000

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Items of a list; ``next`` is what to give as ``after`` for those that follow, null at the end."""

    items: list[Item]
    next: str | None


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is wanted; ``listed`` is the list's path, so that a place in one is none in another."""

    cursors: Cursors
    listed: str
    after: str
    limit: int

    @property
    def one_more(self) -> int:
        """How many to ask for, so that it shows whether there are more."""
        return self.limit + 1

    def page(self, items: Sequence[Item], places: Sequence[str]) -> Page[Item]:
        """The page of ``items``, of which one more than wanted was asked for; ``places`` are their keys."""
        if len(items) <= self.limit:
            return Page(items=list(items), next=None)
        return Page(items=list(items[: self.limit]), next=self._seal(places[self.limit - 1]))

    def page_until(self, items: Sequence[Item], seen: str | None) -> Page[Item]:
        """The page of ``items``, after which the list goes on from ``seen``."""
        return Page(items=list(items), next=None if seen is None else self._seal(seen))

    def _seal(self, place: str) -> str:
        return self.cursors.seal(f"{self.listed}\n{place}")


def paging(
    request: Request,
    after: Annotated[str | None, Query(max_length=2048, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_AT_MOST, description="How many items at most.")] = PAGE,
) -> Paging:
    """The part that a request asks for; raises PaginationInvalid for a place that was not given out."""
    cursors = management_of(request).cursors
    path: str = request.scope["route"].path
    listed, _, place = (f"{path}\n" if after is None else cursors.open(after)).partition("\n")
    if listed != path:
        raise PaginationInvalid(reason="position")
    return Paging(cursors, path, place, limit)


Paged = Annotated[Paging, Depends(paging)]
