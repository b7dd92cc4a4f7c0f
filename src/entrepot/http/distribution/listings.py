"""Lists: tags, the catalog, referrers (end-8, end-12, and Docker's ``_catalog``)."""

import json

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import CATALOG, Action, Resource
from entrepot.http.distribution.context import Context, ListLimits
from entrepot.http.queries import parameter, query_of
from entrepot.oci import (
    OCI_IMAGE_INDEX,
    Digest,
    MethodNotAllowed,
    PaginationInvalid,
    RepositoryName,
    referrers_page,
)

_REFERRERS_BYTES_AT_MOST = 4 * 1024 * 1024  # of one page: clients read an index of at most 4 MiB
_DIGITS_AT_MOST = 9
_LAST_CHARACTERS_AT_MOST = 255


async def get_tags(context: Context, request: Request, name: RepositoryName, last: str) -> Response:  # ruff: ignore[unused-function-argument]  handlers are called alike
    """List tags in byte order (end-8a, end-8b)."""
    await context.admit(request, Action.PULL, name)
    query = query_of(request)
    at_most = _page_size(query, context.lists)
    page = await context.uses.list_tags(name, _after(query), at_most)
    response = _json({"name": name.text, "tags": [tag.text for tag in page.items]})
    if page.more and page.items:
        response.headers["Link"] = context.addresses.next_page(
            f"/v2/{name}/tags/list", n=at_most, last=page.items[-1].text
        )
    return response


async def get_catalog(context: Context, request: Request) -> Response:
    """List the repositories that the caller may pull, in byte order."""
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed(allow=["GET", "HEAD"])
    access_version = await context.uses.hot.access_version()
    caller = await context.door.admit(request, Action.CATALOG, CATALOG, access_version)
    query = query_of(request)
    at_most = _page_size(query, context.lists)
    position = parameter(query, "position")
    page = await context.uses.list_repositories(
        _after(query) if position is None else context.cursors.open(position),
        at_most,
        lambda name: context.door.principal_may(caller, Action.PULL, Resource.repository(name), access_version),
        await context.door.prefixes(caller, Action.PULL, access_version),
    )
    response = _json({"repositories": [name.text for name in page.items]})
    if page.seen is not None:
        position = context.cursors.seal(page.seen)
        response.headers["Link"] = context.addresses.next_page("/v2/_catalog", n=at_most, position=position)
    elif page.more and page.items:
        response.headers["Link"] = context.addresses.next_page("/v2/_catalog", n=at_most, last=page.items[-1].text)
    return response


async def get_referrers(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """List what names a subject, filtered by artifact type if asked (end-12a, end-12b)."""
    subject = Digest.parse(last)
    await context.admit(request, Action.PULL, name)
    query = query_of(request)
    artifact_type, after = parameter(query, "artifactType"), parameter(query, "last")
    page = await context.uses.list_referrers(
        name, subject, artifact_type, None if after is None else Digest.parse(after)
    )
    encoded = referrers_page(page.items, _REFERRERS_BYTES_AT_MOST)
    response = Response(encoded.content, media_type=OCI_IMAGE_INDEX)
    if artifact_type is not None:
        response.headers["OCI-Filters-Applied"] = "artifactType"
    if page.more or encoded.more:
        response.headers["Link"] = context.addresses.next_page(
            f"/v2/{name}/referrers/{subject}",
            artifactType=artifact_type,
            last=str(page.items[encoded.count - 1].digest),
        )
    return response


def _page_size(query: list[tuple[str, str]], limits: ListLimits) -> int:
    """``n``, cut to what a page may have; raises PaginationInvalid for what is no number."""
    value = parameter(query, "n")
    if value is None:
        return limits.page
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS_AT_MOST):
        raise PaginationInvalid(n=value[:_DIGITS_AT_MOST])
    return min(int(value), limits.page_at_most)


def _after(query: list[tuple[str, str]]) -> str:
    """``last`` as it is: any text has its place in the byte order, up to the length of names."""
    return (parameter(query, "last") or "")[:_LAST_CHARACTERS_AT_MOST].replace("\0", "")


def _json(content: dict[str, object]) -> Response:
    return Response(json.dumps(content, separators=(",", ":")), media_type="application/json")
