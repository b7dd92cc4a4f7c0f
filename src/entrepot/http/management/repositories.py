"""``/repositories``: what there is, and what it holds.

Names of repositories have slashes and so are never part of a path: they are given in queries.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import Given, Name, RepositoryText
from entrepot.http.management.pages import Page, Paged
from entrepot.lifecycle import RepositoryPlan
from entrepot.metadata import ManifestRow, RepositoryContent, RepositoryRow, TagRow
from entrepot.oci import Digest, RepositoryName, Tag

router = APIRouter(tags=["repositories"])

Prefix = Annotated[
    str, Query(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$", description="What their names begin with.")
]
DigestText = Annotated[str, Query(min_length=1, max_length=255, description="A manifest's digest.")]
TagText = Annotated[str, Query(min_length=1, max_length=255, description="A tag.")]


class Repository(BaseModel):
    """A repository and the project to which it belongs."""

    name: str
    project: str
    kind: str
    created_at: datetime
    created_by: str


class Content(BaseModel):
    """How much a repository holds; sizes in bytes, ``own_size`` of what no other repository has."""

    tags: int
    manifests: int
    blobs: int
    size: int
    own_size: int


class DetailedRepository(Repository):
    """A repository with what it holds."""

    content: Content


class ChangedRepository(Given):
    """What is to be changed: the name, with which it may come into another project."""

    name: Name


class TagDetails(BaseModel):
    """A tag and the manifest on which it stands; ``total_size`` in bytes with all that it names."""

    name: str
    digest: str
    media_type: str
    artifact_type: str | None
    total_size: int
    moves: int
    created_at: datetime
    moved_at: datetime


class ManifestDetails(BaseModel):
    """A manifest and up to a hundred tags on it; sizes in bytes."""

    digest: str
    media_type: str
    artifact_type: str | None
    subject: str | None
    annotations: dict[str, str]
    size: int
    total_size: int
    pushed_at: datetime
    pushed_by: str
    tags: list[str]


@router.get("/repositories")
async def list_repositories(who: Who, parts: Parts, paging: Paged, prefix: Prefix = "") -> Page[Repository]:
    """List the repositories that the caller may pull from, by name; a page may be short and not the last."""
    found = await parts.repositories.page(who, prefix, paging.after, paging.limit)
    return paging.page_until([_repository(one) for one in found.repositories], found.seen)


@router.get("/repository")
async def get_repository(name: RepositoryText, who: Who, parts: Parts) -> DetailedRepository:
    """Show a repository and how much it holds."""
    row, content = await parts.repositories.find(who, RepositoryName.parse(name))
    return DetailedRepository(**_repository(row).model_dump(), content=_content(content))


@router.patch("/repository")
async def rename_repository(name: RepositoryText, given: ChangedRepository, who: Who, parts: Parts) -> Repository:
    """Give a repository another name, also one in another project."""
    new = RepositoryName.parse(given.name)
    return _repository(await parts.repositories.rename(who, RepositoryName.parse(name), new))


@router.get("/repository/deletion")
async def plan_deletion(name: RepositoryText, who: Who, parts: Parts) -> Content:
    """Say what deleting a repository would take away."""
    return _planned(await parts.repositories.plan_deletion(who, RepositoryName.parse(name)))


@router.delete("/repository")
async def delete_repository(name: RepositoryText, who: Who, parts: Parts) -> Content:
    """Delete a repository with all that it holds, and say what that was; space comes back by the collection."""
    return _planned(await parts.repositories.delete(who, RepositoryName.parse(name)))


@router.get("/tags")
async def list_tags(repository: RepositoryText, who: Who, parts: Parts, paging: Paged) -> Page[TagDetails]:
    """List the tags of a repository, by name."""
    found = await parts.repositories.tags(who, RepositoryName.parse(repository), paging.after, paging.one_more)
    return paging.page([_tag(one) for one in found], [one.name for one in found])


@router.delete("/tags", status_code=204)
async def delete_tag(repository: RepositoryText, tag: TagText, who: Who, parts: Parts) -> None:
    """Take a tag away; its manifest stays, also under other tags."""
    await parts.repositories.delete_tag(who, RepositoryName.parse(repository), Tag.parse(tag))


@router.get("/manifests")
async def list_manifests(repository: RepositoryText, who: Who, parts: Parts, paging: Paged) -> Page[ManifestDetails]:
    """List the manifests of a repository, in the order of their digests."""
    after = Digest.parse(paging.after) if paging.after else None
    found = await parts.repositories.manifests(who, RepositoryName.parse(repository), after, paging.one_more)
    return paging.page([_manifest(one) for one in found], [str(one.digest) for one in found])


@router.get("/manifest")
async def get_manifest(repository: RepositoryText, digest: DigestText, who: Who, parts: Parts) -> ManifestDetails:
    """Show a manifest."""
    name = RepositoryName.parse(repository)
    return _manifest(await parts.repositories.manifest(who, name, Digest.parse(digest)))


@router.delete("/manifest", status_code=204)
async def delete_manifest(repository: RepositoryText, digest: DigestText, who: Who, parts: Parts) -> None:
    """Take a manifest away with every tag on it."""
    await parts.repositories.delete_manifest(who, RepositoryName.parse(repository), Digest.parse(digest))


def _repository(row: RepositoryRow) -> Repository:
    return Repository(
        name=row.name, project=row.project, kind=row.kind, created_at=row.created_at, created_by=row.created_by
    )


def _content(content: RepositoryContent) -> Content:
    return Content(
        tags=content.tags,
        manifests=content.manifests,
        blobs=content.blobs,
        size=content.size,
        own_size=content.own_size,
    )


def _planned(plan: RepositoryPlan) -> Content:
    return _content(plan.content)


def _tag(row: TagRow) -> TagDetails:
    return TagDetails(
        name=row.name,
        digest=str(row.digest),
        media_type=row.media_type,
        artifact_type=row.artifact_type,
        total_size=row.total_size,
        moves=row.version - 1,
        created_at=row.created_at,
        moved_at=row.moved_at,
    )


def _manifest(row: ManifestRow) -> ManifestDetails:
    return ManifestDetails(
        digest=str(row.digest),
        media_type=row.media_type,
        artifact_type=row.artifact_type,
        subject=None if row.subject is None else str(row.subject),
        annotations=row.annotations,
        size=row.size,
        total_size=row.total_size,
        pushed_at=row.pushed_at,
        pushed_by=row.pushed_by,
        tags=row.tags,
    )
