"""Manifests: GET, HEAD, PUT, DELETE (end-3, end-7, end-9)."""

import re

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import Action, Resource
from entrepot.http.bodies import read_body
from entrepot.http.distribution.context import Context
from entrepot.http.queries import query_of
from entrepot.http.ranges import Content, content_reply, in_memory
from entrepot.oci import (
    Digest,
    DigestInvalid,
    ManifestUnknown,
    NameUnknown,
    Reference,
    RepositoryName,
    RequestInvalid,
    Tag,
    TagInvalid,
    TooManyTags,
    parse_reference,
)
from entrepot.registry import Condition, ManifestPush

_TAGS_AT_MOST = 100  # of one push; the specification wants at least 10
_ENTITY_TAG = re.compile(r'\s*"([^"]*)"\s*')
IMMUTABLE = "private, max-age=31536000, immutable"  # content under its own digest never changes; who may see it does
REVALIDATED = "private, no-cache"


async def get_manifest(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Give a manifest by tag or digest, whole or in ranges; HEAD alike without the bytes (end-3)."""
    reference = parse_reference(last)
    found = await context.uses.pull_manifest.resolve(name, reference)
    caller = await context.admit(request, Action.PULL, name, found.access_version)
    if found.repository is None:
        raise NameUnknown(name=name.text)
    manifest = found.manifest
    if manifest is None:
        raise ManifestUnknown(reference=str(reference))
    if isinstance(reference, Digest) and await context.door.may(
        caller, Action.PUSH, Resource.repository(name), found.access_version
    ):
        await context.uses.pull_manifest.keep(manifest)
    content = b""
    if request.method != "HEAD":
        content = await context.uses.pull_manifest.content(manifest)
        context.uses.count_pulls.saw(found.repository, manifest, reference)
    return content_reply(
        request,
        Content(manifest.size, manifest.media_type, f'"{manifest.digest}"', in_memory(content)),
        {
            "Docker-Content-Digest": str(manifest.digest),
            "Cache-Control": IMMUTABLE if isinstance(reference, Digest) else REVALIDATED,
            "X-Content-Type-Options": "nosniff",
        },
    )


async def put_manifest(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Store a manifest under a tag, or under its digest with any number of tags (end-7a, end-7b)."""
    reference = parse_reference(last)
    access_version = await context.uses.hot.access_version()
    caller = await context.admit(request, Action.PUSH, name, access_version)
    may_move = await context.door.may(caller, Action.MOVE, Resource.repository(name), access_version)
    tags = _tags_of(request, reference)
    condition = _condition_of(request)
    content = await read_body(request, at_most=context.manifest_bytes_at_most)
    push = ManifestPush(name, reference, tags, request.headers.get("content-type"), content, condition, may_move)

    pushed = await context.uses.push_manifest(caller.principal, push)

    response = Response(
        status_code=201,
        headers={
            "Location": context.addresses.manifest(name, pushed.digest),
            "Docker-Content-Digest": str(pushed.digest),
        },
    )
    if pushed.subject is not None:
        response.headers["OCI-Subject"] = str(pushed.subject)
    if tags:
        response.headers["OCI-Tag"] = ", ".join(tag.text for tag in tags)
    return response


async def delete_manifest(context: Context, request: Request, name: RepositoryName, last: str) -> Response:
    """Take away a tag, or a manifest with all its tags (end-9)."""
    reference = parse_reference(last)
    caller = await context.admit(request, Action.DELETE, name)
    if isinstance(reference, Tag):
        await context.uses.delete_tag(caller.principal, name, reference)
    else:
        await context.uses.delete_manifest(caller.principal, name, reference)
    return Response(status_code=202)


def _tags_of(request: Request, reference: Reference) -> tuple[Tag, ...]:
    """The tags in the query, each once; raises TooManyTags, TagInvalid."""
    values = [value for key, value in query_of(request) if key == "tag"]
    if len(values) > _TAGS_AT_MOST:
        raise TooManyTags(limit=_TAGS_AT_MOST)
    if values and isinstance(reference, Tag):
        raise TagInvalid(reason="tag-parameters")
    return tuple(dict.fromkeys(Tag.parse(value) for value in values))


def _condition_of(request: Request) -> Condition:
    """``If-Match`` with digests as entity tags or ``*``, and ``If-None-Match: *``; raises RequestInvalid for others."""
    matching: frozenset[Digest] | None = None
    given = request.headers.get("if-match")
    if given is not None:
        matching = frozenset() if given.strip() == "*" else frozenset(map(_digest_of, given.split(",")))
    absent = request.headers.get("if-none-match")
    if absent is not None and absent.strip() != "*":
        raise RequestInvalid(reason="if-none-match")
    return Condition(matching, absent is not None)


def _digest_of(entity_tag: str) -> Digest:
    quoted = _ENTITY_TAG.fullmatch(entity_tag)
    if quoted is None:
        raise RequestInvalid(reason="if-match")
    try:
        return Digest.parse(quoted[1])
    except DigestInvalid:
        raise RequestInvalid(reason="if-match") from None
