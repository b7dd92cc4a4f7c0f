"""Referrers of a manifest, by the API or by the tags in its stead (distribution spec, "Listing Referrers")."""

import json
from typing import Final
from urllib.parse import urljoin

from entrepot.client.errors import LyingRegistry, NotFound, RegistryRefused
from entrepot.client.targets.registry.access import Access
from entrepot.client.targets.registry.manifests import MANIFEST_BYTES_AT_MOST, get_manifest, put_manifest
from entrepot.client.transport import Request
from entrepot.oci import (
    OCI_IMAGE_INDEX,
    Descriptor,
    Digest,
    Manifest,
    ReferrersTag,
    RegistryError,
    parse_manifest,
)

PAGES_AT_MOST: Final = 100
REFERRERS_AT_MOST: Final = 10_000


async def list_referrers(access: Access, digest: Digest) -> list[Descriptor] | None:
    """The descriptors of all referrers by the API, None where it does not tell; raises NotFound where there is none."""
    target: str | None = access.path(f"referrers/{digest}")
    found: list[Descriptor] = []
    for _ in range(PAGES_AT_MOST):
        assert target is not None
        request = Request(
            method="GET",
            origin=access.origin,
            target=target,
            subject=access.subject(digest),
            scopes=access.scopes("pull"),
            headers={"Accept": OCI_IMAGE_INDEX},
        )
        try:
            async with access.transport.send(request) as answer:
                content = await answer.read(MANIFEST_BYTES_AT_MOST)
                target = next_page(answer.headers.get("Link"), answer.url)
        except (RegistryRefused, LyingRegistry):
            if found:
                raise
            return None
        found += _index(content, access.subject(digest)).manifests
        if target is None or len(found) > REFERRERS_AT_MOST:
            break
    return found


async def add_to_tag(access: Access, subject: Digest, referrer: Descriptor) -> None:
    """List a referrer under the tag of its subject, for registries without the API."""
    listed = await tagged_referrers(access, subject)
    if any(entry.digest == referrer.digest for entry in listed):
        return
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX,
        "manifests": [entry.to_json() for entry in (*listed, referrer)],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    descriptor = Descriptor(OCI_IMAGE_INDEX, Digest.of(content), len(content))
    await put_manifest(access, ReferrersTag.of(subject).tag, descriptor, content)


def next_page(link: str | None, url: str) -> str | None:
    """The URL of the next page (RFC 8288, ``rel="next"``), None on the last one."""
    if link is None:
        return None
    for entry in link.split(","):
        target, _, parameters = entry.strip().partition(">")
        if target.startswith("<") and 'rel="next"' in parameters.replace("rel=next", 'rel="next"'):
            return urljoin(url, target[1:])
    return None


async def tagged_referrers(access: Access, digest: Digest) -> list[Descriptor]:
    """The referrers that are listed under a tag, where there is no API."""
    tag = ReferrersTag.of(digest).tag
    try:
        _, content = await get_manifest(access, tag)
    except NotFound:
        return []
    return list(_index(content, access.subject(tag)).manifests)


def _index(content: bytes, subject: str) -> Manifest:
    try:
        return parse_manifest(content, OCI_IMAGE_INDEX)
    except RegistryError as error:
        evidence = [f"{name}: {value}" for name, value in error.detail.items()]
        raise LyingRegistry(subject, reason="referrers", cause="it sent no image index", evidence=evidence) from error
