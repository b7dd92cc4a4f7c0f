"""Looking after repositories: what there is and what it holds, and giving one another name."""

from dataclasses import dataclass
from typing import Final

from entrepot.access import Action, NameTaken, Resource
from entrepot.access.administration import Acting, Authority, require
from entrepot.lifecycle.delete_repository import DeleteRepository, RepositoryPlan
from entrepot.metadata import (
    Database,
    ManifestRow,
    RepositoryContent,
    RepositoryRow,
    TagRow,
    Transaction,
    find_project_of,
    list_repositories,
    manifest_page,
    manifest_row,
    record_audit,
    rename_repository,
    repository_content,
    repository_row,
    tag_page,
)
from entrepot.oci import Denied, Digest, ManifestUnknown, NameUnknown, RepositoryName, Tag
from entrepot.registry import DeleteManifest, DeleteTag

_ROWS_AT_A_TIME: Final = 1000
_ROWS_AT_MOST: Final = 10_000  # looked at for one page, however few of them may be seen


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    """Repositories in byte order; ``seen`` is where to go on, None at the end."""

    repositories: list[RepositoryRow]
    seen: str | None


@dataclass(frozen=True, slots=True)
class Repositories:
    """What is done to whole repositories and to what they hold, but for pushes and pulls.

    What may not be pulled is answered like what is not there. All raise Unavailable.
    """

    database: Database
    delete_repository: DeleteRepository
    delete_tag_use: DeleteTag
    delete_manifest_use: DeleteManifest

    async def page(self, by: Authority, prefix: str, after: str, at_most: int) -> RepositoryPage:
        """Up to ``at_most`` repositories after ``after`` that begin with ``prefix`` and may be pulled."""

        def unit(tx: Transaction) -> RepositoryPage:
            found: list[RepositoryRow] = []
            last, looked = after, 0
            while looked < _ROWS_AT_MOST:
                names = list_repositories(tx, last, _ROWS_AT_A_TIME, prefix)
                for name in names:
                    if by.may(tx, Action.PULL, Resource.repository(name)):
                        if len(found) == at_most:
                            return RepositoryPage(found, last)
                        found += filter(None, [repository_row(tx, name)])
                    last = name.text
                looked += len(names)
                if len(names) < _ROWS_AT_A_TIME:
                    return RepositoryPage(found, None)
            return RepositoryPage(found, last)

        return await self.database.read(unit)

    async def find(self, by: Authority, name: RepositoryName) -> tuple[RepositoryRow, RepositoryContent]:
        """A repository, and how much it holds; raises NameUnknown."""

        def unit(tx: Transaction) -> tuple[RepositoryRow, RepositoryContent]:
            row = _seen(tx, by, name)
            content = repository_content(tx, name)
            assert content is not None
            return row, content

        return await self.database.read(unit)

    async def rename(self, by: Authority, name: RepositoryName, new: RepositoryName) -> RepositoryRow:
        """Give a repository another name, also one in another project; tags, manifests and blobs go with it.

        It takes an owner of both names. Uploads that run end with an error. Raises NameUnknown, Denied, NameTaken.
        """

        def unit(tx: Transaction) -> RepositoryRow:
            row = _seen(tx, by, name)
            for one in (name, new):
                require(tx, by, Action.PROJECT, Resource.repository(one))
            project = find_project_of(tx, new)
            if not rename_repository(tx, row.id, new, project.id):
                raise NameTaken(kind="repository", name=new.text)
            record_audit(tx, by.actor, "repository.rename", name.text, "", {"to": new.text})
            return _seen(tx, by, new)

        return await self.database.write(unit)

    async def plan_deletion(self, by: Authority, name: RepositoryName) -> RepositoryPlan:
        """What deleting the repository would take away; raises NameUnknown, Denied."""
        await self.database.read(lambda tx: _deletable(tx, by, name))
        return await self.delete_repository.plan(name)

    async def delete(self, by: Authority, name: RepositoryName) -> RepositoryPlan:
        """Delete a repository with all that it holds; raises NameUnknown, Denied."""
        await self.database.read(lambda tx: _deletable(tx, by, name))
        return await self.delete_repository(by.actor, name)

    async def tags(self, by: Authority, name: RepositoryName, after: str, at_most: int) -> list[TagRow]:
        """Up to ``at_most`` tags after ``after``, in byte order; raises NameUnknown."""
        return await self.database.read(lambda tx: tag_page(tx, _seen(tx, by, name).id, after, at_most))

    async def manifests(
        self, by: Authority, name: RepositoryName, after: Digest | None, at_most: int
    ) -> list[ManifestRow]:
        """Up to ``at_most`` manifests after ``after``, in the order of digests; raises NameUnknown."""
        return await self.database.read(lambda tx: manifest_page(tx, _seen(tx, by, name).id, after, at_most))

    async def manifest(self, by: Authority, name: RepositoryName, digest: Digest) -> ManifestRow:
        """One manifest; raises NameUnknown, ManifestUnknown."""

        def unit(tx: Transaction) -> ManifestRow:
            found = manifest_row(tx, _seen(tx, by, name).id, digest)
            if found is None:
                raise ManifestUnknown(digest=str(digest))
            return found

        return await self.database.read(unit)

    async def delete_tag(self, by: Acting, name: RepositoryName, tag: Tag) -> None:
        """Take a tag away; its manifest stays for at least a lease. Raises NameUnknown, Denied, ManifestUnknown."""
        await self.database.read(lambda tx: _deletable(tx, by, name))
        await self.delete_tag_use(by.caller.principal, name, tag)

    async def delete_manifest(self, by: Acting, name: RepositoryName, digest: Digest) -> None:
        """Take a manifest away with every tag on it; raises NameUnknown, Denied, ManifestUnknown."""
        await self.database.read(lambda tx: _deletable(tx, by, name))
        await self.delete_manifest_use(by.caller.principal, name, digest)


def _seen(tx: Transaction, by: Authority, name: RepositoryName) -> RepositoryRow:
    """The repository of that name, if it may be pulled; raises NameUnknown."""
    found = repository_row(tx, name)
    if found is None or not by.may(tx, Action.PULL, Resource.repository(name)):
        raise NameUnknown(name=name.text)
    return found


def _deletable(tx: Transaction, by: Authority, name: RepositoryName) -> None:
    """Go on only if it may be deleted; raises NameUnknown alike for what may not even be pulled, Denied."""
    resource = Resource.repository(name)
    if not by.may(tx, Action.DELETE, resource):
        if by.may(tx, Action.PULL, resource) and repository_row(tx, name) is not None:
            raise Denied(scope=f"repository:{name.text}:delete")
        raise NameUnknown(name=name.text)
