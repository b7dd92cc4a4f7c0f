"""Upload sessions: POST, PATCH, PUT, GET, DELETE (end-4 to end-6, end-11, end-13, end-14)."""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import Action, Caller, Principal, Resource, Scope
from entrepot.http.bodies import chunks, content_length
from entrepot.http.distribution.context import Context
from entrepot.http.queries import parameter, query_of
from entrepot.oci import (
    Algorithm,
    BlobUploadUnknown,
    ChunkRange,
    Digest,
    DigestInvalid,
    RegistryError,
    RepositoryName,
    SizeInvalid,
    parse_content_range,
)

_SESSION = re.compile(r"[0-9a-f]{32}", re.ASCII)


async def post_upload(context: Context, request: Request, name: RepositoryName, last: str) -> Response:  # ruff: ignore[unused-function-argument]  handlers are called alike
    """Mount a blob, take one whole, or open a session for it (end-4a, end-4b, end-4c, end-11)."""
    access_version = await context.uses.hot.access_version()
    caller = await context.admit(request, Action.PUSH, name, access_version)
    query = query_of(request)
    mount, whole = parameter(query, "mount"), parameter(query, "digest")
    if mount is not None:
        digest = Digest.parse(mount)
        if await _mount(context, request, caller, name, digest, parameter(query, "from"), access_version):
            return _created(context, name, digest)
    if whole is not None and mount is None:
        digest = Digest.parse(whole)
        await _push_whole(context, request, caller.principal, name, digest)
        return _created(context, name, digest)
    algorithm = parameter(query, "digest-algorithm")
    session_id = await context.uses.start_upload(
        caller.principal, name, Algorithm.SHA256 if algorithm is None else Algorithm.parse(algorithm)
    )
    return _accepted(context, name, session_id, 0, status=202)


async def patch_upload(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Append a chunk, or a stream of any length (end-5)."""
    session_id = _session(last)
    caller = await context.admit(request, Action.PUSH, name, within_session=True)
    chunk = _chunk_of(request)
    written = await context.uses.write_upload(
        caller.principal, name, session_id, None if chunk is None else chunk.start, _bytes_of(context, request, chunk)
    )
    return _accepted(context, name, session_id, written.session.offset, status=202)


async def put_upload(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Close the session, with the last chunk or without (end-6)."""
    session_id = _session(last)
    caller = await context.admit(request, Action.PUSH, name, within_session=True)
    value = parameter(query_of(request), "digest")
    if value is None:
        raise DigestInvalid(reason="missing")
    digest = Digest.parse(value)
    chunk = _chunk_of(request)
    has_body = content_length(request) not in {None, 0} or _is_chunked(request)
    body = _bytes_of(context, request, chunk) if has_body else None
    await context.uses.finish_upload(
        caller.principal, name, session_id, digest, None if chunk is None else chunk.start, body
    )
    return _created(context, name, digest)


async def get_upload(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Say how far the session is durable (end-13)."""
    session_id = _session(last)
    caller = await context.admit(request, Action.PUSH, name, within_session=True)
    offset = await context.uses.upload_status(caller.principal, name, session_id)
    return _accepted(context, name, session_id, offset, status=204)


async def delete_upload(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """End the session without a blob (end-14)."""
    session_id = _session(last)
    caller = await context.admit(request, Action.PUSH, name, within_session=True)
    await context.uses.cancel_upload(caller.principal, name, session_id)
    return Response(status_code=204)


async def _push_whole(
    context: Context, request: Request, principal: Principal, name: RepositoryName, digest: Digest
) -> None:
    """Take a blob in one request; nothing is left of one that fails, as nobody was told its session."""
    session_id = await context.uses.start_upload(principal, name, digest.algorithm)
    try:
        await context.uses.finish_upload(principal, name, session_id, digest, None, _bytes_of(context, request, None))
    except Exception:
        with suppress(RegistryError):
            await context.uses.cancel_upload(principal, name, session_id)
        raise


async def _mount(
    context: Context,
    request: Request,
    caller: Caller,
    name: RepositoryName,
    digest: Digest,
    source: str | None,
    access_version: int,
) -> bool:
    """Mount if the caller may pull the blob elsewhere; a right that only the token lacks is asked for."""
    if source is None:
        return await context.uses.mount_blob.from_anywhere(
            caller.principal,
            name,
            digest,
            lambda other: context.door.may(caller, Action.PULL, Resource.repository(other), access_version),
        )
    source_name = RepositoryName.parse(source)
    resource = Resource.repository(source_name)
    if not await context.door.principal_may(caller, Action.PULL, resource, access_version):
        return False
    if not await context.door.carries(caller, Action.PULL, resource, access_version):
        pull, push = frozenset({Action.PULL}), frozenset({Action.PULL, Action.PUSH})
        raise context.door.insufficient(request, (Scope(Resource.repository(name), push), Scope(resource, pull)))
    return await context.uses.mount_blob.from_repository(caller.principal, name, digest, source_name)


def _session(text: str) -> str:
    if not _SESSION.fullmatch(text):
        raise BlobUploadUnknown
    return text


def _chunk_of(request: Request) -> ChunkRange | None:
    """Where the chunk lies, if the client says so; raises SizeInvalid if a declared length contradicts that."""
    header = request.headers.get("content-range")
    if header is None:
        return None
    chunk = parse_content_range(header)
    length = content_length(request)
    if length is not None and length != chunk.length:
        raise SizeInvalid(declared=length, range=chunk.length)
    return chunk


async def _bytes_of(context: Context, request: Request, chunk: ChunkRange | None) -> AsyncGenerator[bytes]:
    """The body; raises SizeInvalid where it ends before its range, or instead of anything beyond it.

    A length that is declared and too large for any blob is refused before the first byte.
    """
    arrived = 0
    async for piece in chunks(request, at_most=context.uses.write_upload.limits.blob_bytes_at_most):
        arrived += len(piece)
        if chunk is not None and arrived > chunk.length:
            raise SizeInvalid(range=chunk.length)
        yield piece
    if chunk is not None and arrived < chunk.length:
        raise SizeInvalid(arrived=arrived, range=chunk.length)


def _is_chunked(request: Request) -> bool:
    return "transfer-encoding" in request.headers


def _created(context: Context, name: RepositoryName, digest: Digest) -> Response:
    location = context.addresses.blob(name, digest)
    return Response(status_code=201, headers={"Location": location, "Docker-Content-Digest": str(digest)})


def _accepted(context: Context, name: RepositoryName, session_id: str, offset: int, *, status: int) -> Response:
    headers = {
        "Location": context.addresses.upload(name, session_id),
        "Range": f"0-{max(offset - 1, 0)}",
        "Docker-Upload-UUID": session_id,
    }
    return Response(status_code=status, headers=headers)
