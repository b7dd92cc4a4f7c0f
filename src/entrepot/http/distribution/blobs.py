"""Blobs: GET, HEAD, DELETE (end-2, end-10)."""

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import Action, Resource
from entrepot.http.distribution.context import Context
from entrepot.http.distribution.manifests import IMMUTABLE
from entrepot.http.ranges import Content, content_reply
from entrepot.oci import BlobUnknown, ContentDamaged, Digest, NameUnknown, RepositoryName


async def get_blob(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Give a blob, whole or in ranges; HEAD alike without the bytes (end-2)."""
    digest = Digest.parse(last)
    found = await context.uses.pull_blob.resolve(name, digest)
    caller = await context.admit(request, Action.PULL, name, found.access_version)
    if found.repository is None:
        raise NameUnknown(name=name.text)
    blob = found.blob
    if blob is None:
        raise BlobUnknown(digest=str(digest))
    asked_to_push = request.method == "HEAD" and await context.door.may(
        caller, Action.PUSH, Resource.repository(name), found.access_version
    )
    if blob.state == "damaged":
        if asked_to_push:
            # Clients that are about to push take this for "send it", and sending it mends the blob.
            raise BlobUnknown(digest=str(digest), reason="damaged")
        raise ContentDamaged(digest=str(digest))
    if asked_to_push:
        await context.uses.pull_blob.keep(found.repository, blob)
    return content_reply(
        request,
        Content(
            blob.size,
            "application/octet-stream",
            f'"{digest}"',
            lambda start, stop: context.uses.pull_blob.read(name, blob, start, stop),
        ),
        {
            "Docker-Content-Digest": str(digest),
            "Cache-Control": IMMUTABLE,
            "Content-Disposition": "attachment",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def delete_blob(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Take a blob out of the repository unless a manifest names it (end-10)."""
    digest = Digest.parse(last)
    caller = await context.admit(request, Action.DELETE, name)
    await context.uses.delete_blob(caller.principal, name, digest)
    return Response(status_code=202)
