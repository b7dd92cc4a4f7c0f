from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collection.modelled import BLOBS, LEASE, NAMES, Modelled, Rules
from entrepot.metadata import upgrade
from entrepot.oci import BlobUnknown, Digest, ManifestUnknown, RepositoryName

NAME = NAMES[0]
CONTENT = BLOBS[0]


@pytest.fixture
async def modelled(tmp_path: Path) -> AsyncIterator[Modelled]:
    """An empty registry with its model."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    modelled = Modelled(url, tmp_path, Rules())
    yield modelled
    await modelled.close()


class TestWhatKeepsWhat:
    """Reviews of what keeps each other."""

    async def test_a_referrer_reviewed_together_with_its_subject_goes_after_it(self, modelled: Modelled) -> None:
        """A referrer that was kept for a subject which the same batch collects is reviewed again."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("push", NAME, "image", 0, 0, None))
        await modelled.apply(("push", NAME, "referrer", 0, 0, None))

        await modelled.settle()

        assert not modelled.model.repository(NAME).manifests

    async def test_a_subject_that_its_referrer_names_as_child_goes_with_it(self, modelled: Modelled) -> None:
        """An index that names its own subject does not keep it for ever, nor is kept for ever by it."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("push", NAME, "image", 0, 0, None))
        await modelled.apply(("push", NAME, "referring index", 0, 0, "v1"))
        await modelled.apply(("advance", 2 * LEASE))
        await modelled.apply(("collect",))
        assert len(modelled.model.repository(NAME).manifests) == 2

        await modelled.apply(("delete_tag", NAME, "v1"))
        await modelled.settle()

        assert not modelled.model.repository(NAME).manifests

    async def test_such_an_index_keeps_its_subject_as_long_as_it_may_be_relied_on(self, modelled: Modelled) -> None:
        """Whoever has just pushed the index by digest may still set a tag on it, and finds its subject."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("push", NAME, "image", 0, 0, None))
        await modelled.apply(("advance", 0.9 * LEASE))
        await modelled.apply(("push", NAME, "referring index", 0, 0, None))
        await modelled.apply(("advance", 0.4 * LEASE))
        await modelled.apply(("collect",))

        assert len(modelled.model.repository(NAME).manifests) == 2

    async def test_a_circle_over_an_index_and_a_referrer_goes_as_a_whole(self, modelled: Modelled) -> None:
        """A subject whose two referrers keep each other by way of an index goes with all of them, once its tag went."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("push", NAME, "image", 0, 0, None))
        await modelled.apply(("push", NAME, "referrer", 0, 0, None))
        await modelled.apply(("push", NAME, "index", 1, 1, "a"))
        await modelled.apply(("push", NAME, "referring index", 2, 0, None))
        for _ in range(3):
            await modelled.apply(("advance", 2 * LEASE))
            await modelled.apply(("collect",))
        assert len(modelled.model.repository(NAME).manifests) == 4

        await modelled.apply(("delete_tag", NAME, "a"))
        await modelled.settle()

        assert not modelled.model.repository(NAME).manifests

    async def test_a_circle_over_two_subjects_goes_as_a_whole(self, modelled: Modelled) -> None:
        """Two subjects, each with an index as referrer that names a referrer of the other, do not stay for ever."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("push", NAME, "image", 0, 0, "a"))
        await modelled.apply(("upload", NAME, BLOBS[1]))
        await modelled.apply(("push", NAME, "image", 1, 1, None))
        await modelled.apply(("push", NAME, "referrer", 0, 0, None))
        await modelled.apply(("push", NAME, "referrer", 0, 1, None))
        await modelled.apply(("push", NAME, "referring index", 3, 0, None))
        await modelled.apply(("push", NAME, "referring index", 2, 1, None))
        for _ in range(3):
            await modelled.apply(("advance", 2 * LEASE))
            await modelled.apply(("collect",))
        assert len(modelled.model.repository(NAME).manifests) == 6

        await modelled.apply(("delete_tag", NAME, "a"))
        await modelled.settle()

        assert not modelled.model.repository(NAME).manifests


class TestWhatAClientWasShown:
    """A lease begins with every answer that a client may rely on."""

    async def test_closing_an_upload_again_promises_as_much_as_before(self, modelled: Modelled) -> None:
        """Whoever lost the answer and closes again may rely on the blob from then on."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("advance", 0.9 * LEASE))
        await modelled.apply(("close_again", 0))
        await modelled.apply(("advance", 0.4 * LEASE))
        await modelled.apply(("collect",))

        await modelled.apply(("push", NAME, "image", 0, 0, "v1"))

        assert modelled.model.repository(NAME).tags

    async def test_a_blob_that_goes_while_it_is_asked_for_is_unknown(self, modelled: Modelled) -> None:
        """A HEAD that finds a blob which the collection takes away before its lease is extended answers 404."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("advance", 0.9 * LEASE))
        found = await modelled.uses.pull_blob.resolve(RepositoryName(NAME), Digest.of(CONTENT))
        await modelled.apply(("advance", LEASE))
        await modelled.apply(("collect",))

        assert found.repository is not None
        assert found.blob is not None
        with pytest.raises(BlobUnknown):
            await modelled.uses.pull_blob.keep(found.repository, found.blob)

    async def test_a_manifest_that_goes_while_it_is_asked_for_is_unknown(self, modelled: Modelled) -> None:
        """Likewise for a manifest."""
        await modelled.apply(("upload", NAME, CONTENT))
        await modelled.apply(("push", NAME, "image", 0, 0, None))
        [digest] = modelled.model.repository(NAME).manifests
        await modelled.apply(("advance", 0.9 * LEASE))
        found = await modelled.uses.pull_manifest.resolve(RepositoryName(NAME), Digest.parse(digest))
        await modelled.apply(("advance", LEASE))
        await modelled.apply(("collect",))

        assert found.manifest is not None
        with pytest.raises(ManifestUnknown):
            await modelled.uses.pull_manifest.keep(found.manifest)
