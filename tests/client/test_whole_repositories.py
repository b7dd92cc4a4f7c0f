"""``copy --all-tags``: everything that a repository has, under the same tags."""

import json
from pathlib import Path

import pytest

from client.conftest import Peer
from client.layouts import INDEX, MadeLayout, blobs_of
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from entrepot.client.errors import ContentInvalid, ReferenceInvalid, TagExists
from entrepot.oci import Tag

PLAIN = ("--progress", "none")


@pytest.fixture
def made(tmp_path: Path) -> MadeLayout:
    """Three images that share a layer, an index with one of them, two tags of the same image, a signature."""
    made = MadeLayout(tmp_path / "made")
    first, second = made.image(1000, 200_000), made.image(3000)
    index = made.document({"manifests": [first, second]}, INDEX)
    made.write(v1=index, other=made.image(10), amd64=first, same=first, _signature=made.signature(first))
    return made


def tags_of(folder: Path) -> dict[str, str]:
    """The names in a layout's index, and their digests."""
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
    name = "org.opencontainers.image.ref.name"
    return {entry["annotations"][name]: entry["digest"] for entry in entries if name in entry.get("annotations", {})}


async def test_from_place_to_place(peer: Peer, made: MadeLayout, tmp_path: Path) -> None:
    """A layout goes to a registry, to another repository and back, with every tag and the signature."""
    first, second = peer.fresh(), peer.fresh()
    async with peer.client(tmp_path / "state") as client:
        pushed = await client.copy_all(f"oci:{made.folder}", first)
        assert {tag.text: str(image.digest) for tag, image in pushed.tags} == tags_of(made.folder)
        await client.copy_all(first, second)
        await client.copy_all(second, f"oci:{tmp_path / 'back'}")
        await client.copy_all(second, f"oci-archive:{tmp_path / 'back.tar'}")
        again = await client.copy_all(f"oci-archive:{tmp_path / 'back.tar'}", f"oci:{tmp_path / 'again'}")
    assert blobs_of(tmp_path / "back") >= set(made.digests)
    assert tags_of(tmp_path / "back").items() >= tags_of(made.folder).items()
    assert tags_of(tmp_path / "again") == tags_of(tmp_path / "back") == {t.text: str(i.digest) for t, i in again.tags}


async def test_what_is_there_costs_two_requests(peer: Peer, tmp_path: Path) -> None:
    """For each tag one question here and one there, and one for its referrers where the registry has that API."""
    made = MadeLayout(tmp_path / "made")
    made.write(**{f"v{number}": made.image(100) for number in range(20)})
    first, second = peer.fresh(), peer.fresh()
    async with peer.client(tmp_path / "state") as client:
        await client.copy_all(f"oci:{made.folder}", first)
        assert len((await client.copy_all(first, second)).manifests) == 20
        before = client.requests
        again = await client.copy_all(first, second)
        spent = client.requests - before
    assert (again.manifests, again.blobs) == ((), ())
    assert spent <= 20 * (3 if peer.name == "entrepot" else 2) + 20


async def test_tags_that_are_elsewhere(peer: Peer, made: MadeLayout, tmp_path: Path) -> None:
    """They move, those that only the target has stay, and with ``no_clobber`` nothing is stored."""
    target = peer.fresh()
    older = MadeLayout(tmp_path / "older")
    image = older.image(50)
    older.write(v1=image, mine=image)
    async with peer.client(tmp_path / "state") as client:
        await client.copy_all(f"oci:{older.folder}", target)
        with pytest.raises(TagExists):
            await client.copy_all(f"oci:{made.folder}", target, no_clobber=True)
        assert set(await client.tags(target)) == {Tag("mine"), Tag("v1")}
        planned = await client.copy_all(f"oci:{made.folder}", target, is_dry=True)
        assert len(planned.blobs) == len({blob.digest for blob in planned.blobs}) > 3
        await client.copy_all(f"oci:{made.folder}", target)
        assert {tag.text for tag in await client.tags(target)} >= {"mine", *tags_of(made.folder)}
        assert str((await client.resolve(f"{target}:v1")).digest) == tags_of(made.folder)["v1"]


async def test_one_platform_of_all(ours: Peer, made: MadeLayout, tmp_path: Path) -> None:
    """``platform`` narrows every index."""
    async with ours.client(tmp_path / "state") as client:
        done = await client.copy_all(f"oci:{made.folder}", ours.fresh(), platform="linux/amd64")
    images = {tag.text: str(image.digest) for tag, image in done.tags}
    assert images["v1"] == images["amd64"] == tags_of(made.folder)["amd64"]


async def test_what_has_no_tags(ours: Peer, made: MadeLayout, tmp_path: Path) -> None:
    """A tag that is written, and a name in a layout that has none, are refused before anything is asked."""
    async with ours.client(tmp_path / "state") as client:
        with pytest.raises(ReferenceInvalid):
            await client.copy_all(f"oci:{made.folder}:v1", ours.fresh())
        with pytest.raises(ReferenceInvalid):
            await client.copy_all(f"oci:{made.folder}", f"{ours.fresh()}:v1")
        made.write(**{"not a tag": made.image(10)})
        with pytest.raises(ContentInvalid, match="made"):
            await client.copy_all(f"oci:{made.folder}", ours.fresh())
        assert client.requests == 0


def test_the_command(ours: Peer, made: MadeLayout, shell: Shell) -> None:
    """One line for each tag, or a document."""
    target = ours.fresh()
    done = shell.run("copy", "--all-tags", *PLAIN, f"oci:{made.folder}", target)
    assert done.returncode == ExitCode.OK, done.stderr
    expected = tags_of(made.folder)
    assert sorted(done.stdout.splitlines()) == sorted(f"{target}:{tag}@{digest}" for tag, digest in expected.items())
    told = json.loads(shell.run("copy", "--all-tags", "--output", "json", *PLAIN, target, ours.fresh()).stdout)
    assert told["tags"].items() >= expected.items()
    assert {one["digest"] for one in told["stored"]} >= set(made.digests)
    refused = shell.run("copy", "--all-tags", f"oci:{made.folder}:v1", target)
    assert refused.returncode == ExitCode.USAGE
    assert "all tags are copied" in refused.stderr
