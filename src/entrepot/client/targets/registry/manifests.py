"""Manifests of a repository: HEAD, GET, PUT, DELETE (distribution spec, "Pulling manifests", "Pushing Manifests")."""

from collections.abc import Mapping
from typing import Final

from entrepot.client.errors import DigestMismatch, LyingRegistry, NotFound
from entrepot.client.origins import Mirror
from entrepot.client.targets.registry.access import Access, query
from entrepot.client.transport import Answer, Body, Request
from entrepot.oci import (
    MANIFEST_TYPES,
    RETIRED_MANIFEST_TYPES,
    Descriptor,
    Digest,
    DigestInvalid,
    Reference,
    parse_media_type,
)

MANIFEST_BYTES_AT_MOST: Final = 8 * 1024 * 1024  # twice what the specification asks registries to take
ACCEPTED: Final = ", ".join(sorted(MANIFEST_TYPES) + sorted(RETIRED_MANIFEST_TYPES))
_OCTETS: Final = "application/octet-stream"


async def head_manifest(access: Access, reference: Reference, *, writes: bool = False) -> Descriptor:
    """What a reference names, by headers; by its content where they do not tell. Raises NotFound."""
    request = Request(
        method="HEAD",
        origin=access.origin,
        target=access.path(f"manifests/{reference}") + query(ns=None if writes else access.namespace(None)),
        subject=access.subject(reference),
        scopes=access.scopes(*(("pull", "push") if writes else ("pull",))),
        headers={"Accept": ACCEPTED},
    )
    async with access.transport.send(request) as answer:
        told = _told_digest(answer.headers, request.subject)
        size, media_type = answer.size, parse_media_type(answer.headers.get("Content-Type", ""))
    if isinstance(reference, Digest):
        told = _agreed(reference, told, request.subject)
    if told is None or size is None or media_type is None:
        descriptor, _ = await get_manifest(access, reference)
        return descriptor
    return Descriptor(media_type, told, size)


async def get_manifest(access: Access, reference: Reference, mirror: Mirror | None = None) -> tuple[Descriptor, bytes]:
    """A manifest and what it is; checked against the digest that was asked for, or that a tag's headers promise.

    Raises NotFound, DigestMismatch, LyingRegistry.
    """
    name = access.route.repository if mirror is None else mirror.repository
    origin = access.origin if mirror is None else mirror.origin
    request = Request(
        method="GET",
        origin=origin,
        target=f"/v2/{name}/manifests/{reference}{query(ns=access.namespace(mirror))}",
        subject=access.subject(reference),
        scopes=access.pull_scopes(mirror),
        headers={"Accept": ACCEPTED},
    )
    async with access.transport.send(request) as answer:
        content = await answer.read(MANIFEST_BYTES_AT_MOST)
        return _described(answer, reference, content, request.subject), content


async def put_manifest(access: Access, reference: Reference, descriptor: Descriptor, content: bytes) -> bool:
    """Store a manifest; says whether the registry took note of its subject (``OCI-Subject``).

    Raises LyingRegistry if it says to have stored something else.
    """
    request = Request(
        method="PUT",
        origin=access.origin,
        target=access.path(f"manifests/{reference}"),
        subject=access.subject(reference),
        expected=frozenset({201, 202}),
        scopes=access.scopes("pull", "push"),
        body=Body.of(content, descriptor.media_type),
    )
    async with access.transport.send(request) as answer:
        _agreed(descriptor.digest, _told_digest(answer.headers, request.subject), request.subject)
        return "OCI-Subject" in answer.headers


async def delete_manifest(access: Access, reference: Reference) -> None:
    """Delete a tag or a manifest; raises NotFound, RegistryRefused where the registry cannot do it."""
    request = Request(
        method="DELETE",
        origin=access.origin,
        target=access.path(f"manifests/{reference}"),
        subject=access.subject(reference),
        expected=frozenset({200, 202, 204}),
        scopes=access.scopes("pull", "push", "delete"),
    )
    async with access.transport.send(request):
        return


async def has_manifest(access: Access, digest: Digest) -> bool:
    """Whether a manifest with this digest can be pulled."""
    try:
        await head_manifest(access, digest, writes=True)
    except NotFound:
        return False
    return True


def _described(answer: Answer, reference: Reference, content: bytes, subject: str) -> Descriptor:
    told = _told_digest(answer.headers, subject)
    asked = reference if isinstance(reference, Digest) else told
    algorithm = asked.algorithm if asked is not None else Digest.of(b"").algorithm
    found = Digest.of(content, algorithm)
    if asked is not None and found != asked:
        evidence = [f"wanted {asked}", f"got {found}, {len(content)} bytes from {answer.host}"]
        raise DigestMismatch(subject, evidence=evidence, expected=str(asked), found=str(found))
    return Descriptor(parse_media_type(answer.headers.get("Content-Type", "")) or _OCTETS, found, len(content))


def _told_digest(headers: Mapping[str, str], subject: str) -> Digest | None:
    text = headers.get("Docker-Content-Digest")
    if text is None:
        return None
    try:
        return Digest.parse(text)
    except DigestInvalid:
        raise LyingRegistry(subject, reason="digest", evidence=[f"Docker-Content-Digest: {text}"]) from None


def _agreed(asked: Digest, told: Digest | None, subject: str) -> Digest:
    """The digest that was asked for, unless the registry tells another of the same algorithm."""
    if told is not None and told.algorithm is asked.algorithm and told != asked:
        raise LyingRegistry(subject, reason="digest", evidence=[f"asked for {asked}", f"told {told}"])
    return asked
