"""Images move between registries, layouts and archives under the same digest, with all that belongs to them."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bench import registries
from client.conftest import Peer
from client.counting_proxy import counting_proxy
from client.layouts import MadeLayout, blobs_of, signed_index
from client.shell import Shell
from entrepot.client.errors import (
    DigestMismatch,
    LoginRequired,
    NotFound,
    PlatformNotFound,
    TagExists,
    UnsupportedHere,
)
from entrepot.oci import Tag
from harness.programs import find_program, run_program


def fresh() -> str:
    """A repository that nothing is in."""
    return f"team/{secrets.token_hex(5)}"


async def test_there_and_back(peer: Peer, tmp_path: Path) -> None:
    """An index with signatures goes from a layout to a registry, on to another repository, and back."""
    made, index = signed_index(tmp_path / "made")
    first, second = (f"{peer.address}/{fresh()}" for _ in range(2))
    async with peer.client(tmp_path / "state") as client:
        pushed = await client.copy(f"oci:{made.folder}:v1", f"{first}:1.4.2,1.4")
        assert str(pushed.descriptor.digest) == index["digest"]
        assert {tag.text for tag in await client.tags(first)} >= {"1.4.2", "1.4"}
        await client.copy(f"{first}:1.4", f"{second}:v2")
        back = await client.copy(f"{second}:v2", f"oci:{tmp_path / 'back'}:v3")
    assert str(back.descriptor.digest) == index["digest"]
    assert blobs_of(tmp_path / "back") == set(made.digests)


async def test_what_is_there_is_not_sent_again(peer: Peer, tmp_path: Path) -> None:
    """A second copy asks, and moves neither blob nor manifest; a dry one moves nothing at all."""
    made, _ = signed_index(tmp_path / "made")
    target = f"{peer.address}/{fresh()}:v1"
    async with peer.client(tmp_path / "state") as client:
        planned = await client.copy(f"oci:{made.folder}:v1", target, is_dry=True)
        assert planned.blobs
        with pytest.raises(NotFound):
            await client.resolve(target)
        assert (await client.copy(f"oci:{made.folder}:v1", target)).blobs
        before = client.requests
        again = await client.copy(f"oci:{made.folder}:v1", target)
        assert (again.blobs, again.manifests) == ((), ())
        assert client.requests - before <= 12


async def test_one_platform_of_many(peer: Peer, tmp_path: Path) -> None:
    """``platform`` narrows to an image; one that is missing is told with those there are."""
    made, index = signed_index(tmp_path / "made")
    source = f"{peer.address}/{fresh()}:v1"
    async with peer.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", source)
        one = await client.copy(source, f"oci:{tmp_path / 'one'}:v1", platform="linux/arm64", with_referrers=False)
        assert (
            str(one.descriptor.digest)
            == json.loads((made.folder / "blobs/sha256" / index["digest"][7:]).read_text())["manifests"][1]["digest"]
        )
        assert len(blobs_of(tmp_path / "one")) == 5
        with pytest.raises(PlatformNotFound) as missing:
            await client.resolve(source, platform="windows/amd64")
        assert any("linux/arm64" in line for line in missing.value.lines())


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
async def test_archives(ours: Peer, tmp_path: Path, kind: str) -> None:
    """An image goes into an archive and out of it; of a docker archive the config stays the same."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(1000, 400_000))
    archive = tmp_path / "image.tar"
    target = f"{kind}:{archive}:{'example/app:v1' if kind == 'docker-archive' else 'v1'}"
    async with ours.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", target)
        pushed = await client.copy(f"{kind}:{archive}", f"{ours.address}/{fresh()}:v1")
        if kind == "oci-archive":
            assert str(pushed.descriptor.digest) in made.digests


async def test_other_clients_read_what_was_written(ours: Peer, tmp_path: Path) -> None:
    """Skopeo takes our layout, and crane finds everything in the registry."""
    made, index = signed_index(tmp_path / "made")
    name = f"{ours.address}/{fresh()}"
    async with ours.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", f"{name}:v1")
        await client.copy(f"{name}:v1", f"oci:{tmp_path / 'layout'}:v1")
    assert run_program([find_program("crane"), "digest", f"{name}:v1"]).strip() == index["digest"]
    run_program([find_program("crane"), "validate", "--remote", f"{name}:v1", "--fast"])
    raw = run_program([find_program("skopeo"), "inspect", "--raw", f"oci:{tmp_path / 'layout'}:v1"])
    assert json.loads(raw)["manifests"]


async def test_tags_are_moved_only_if_they_may(ours_with_login: Peer, tmp_path: Path) -> None:
    """``no_clobber`` and ``may_move`` leave a tag where it is; the other tags of a manifest keep it from going."""
    one, two = MadeLayout(tmp_path / "one"), MadeLayout(tmp_path / "two")
    for made in (one, two):
        made.write(v1=made.image(10))
    name = f"{ours_with_login.address}/{fresh()}"
    async with ours_with_login.client(tmp_path / "state") as client:
        await client.copy(f"oci:{one.folder}:v1", f"{name}:v1")
        with pytest.raises(TagExists):
            await client.copy(f"oci:{two.folder}:v1", f"{name}:v1", no_clobber=True)
        await client.copy(f"oci:{two.folder}:v1", f"{name}:v2")
        with pytest.raises(TagExists):
            await client.tag(f"{name}:v2", [Tag("v1")], may_move=False)
        await client.tag(f"{name}:v2", [Tag("latest-ish"), Tag("v3")])
        with pytest.raises(TagExists, match=r"tag exists"):
            await client.delete(f"{name}:v2")
        await client.untag(f"{name}:v3")
        assert {tag.text for tag in await client.tags(name)} == {"v1", "v2", "latest-ish"}
        await client.delete(f"{name}:v2", with_other_tags=True)
        assert {tag.text for tag in await client.tags(name)} == {"v1"}


async def test_a_wrong_password_is_told(peer: Peer, tmp_path: Path) -> None:
    """With what failed and what to do; it is not sent again and again."""
    if not peer.login:
        return
    async with peer.client(tmp_path / "state", password="wrong") as client:
        with pytest.raises(LoginRequired) as refused:
            await client.resolve(f"{peer.address}/team/none:v1")
        assert "login" in " ".join(refused.value.lines())
        assert client.requests <= 4


async def test_connections_that_break(ours: Peer, tmp_path: Path) -> None:
    """An upload and a download go on from where they were when connections are reset in the middle."""
    made = MadeLayout(tmp_path / "made")
    size = 24 << 20
    made.write(v1=made.image(size))
    name = fresh()
    with counting_proxy(ours.address) as proxy:
        async with ours.client(tmp_path / "state") as client:
            proxy.breaks = [8 << 20, 8 << 20]
            await client.copy(f"oci:{made.folder}:v1", f"127.0.0.1:{proxy.port}/{name}:v1")
            assert proxy.breaks == []
            assert proxy.sent < 2.5 * size
            proxy.breaks_down = [5 << 20, 5 << 20]
            before = proxy.received
            await client.copy(f"127.0.0.1:{proxy.port}/{name}:v1", f"oci:{tmp_path / 'back'}:v1")
            assert proxy.breaks_down == []
            assert proxy.received - before < 1.5 * size
    assert blobs_of(tmp_path / "back") == set(made.digests)


PUSH = """
    import asyncio, sys
    from pathlib import Path
    from entrepot.client.client import Client
    from entrepot.client.targets.registry import UploadSettings
    from entrepot.client.targets.registry.saved_uploads import SavedUploads
    from entrepot.client.targets.registry.uploads import ChunkSize

    async def main(source, target, state):
        uploads = UploadSettings(ChunkSize(1 << 20, is_automatic=False))
        async with Client(uploads=uploads, saved_uploads=SavedUploads(Path(state))) as client:
            await client.copy(source, target)

    asyncio.run(main(*sys.argv[1:]))
"""


def killed_until_done(arguments: list[str], kills: int, seconds: float) -> int:
    """Run the program, kill it so many times, then let it end; returns how often it was killed in the middle."""
    times = 0
    command = [sys.executable, "-c", textwrap.dedent(PUSH), *arguments]
    for _ in range(kills):
        process = subprocess.Popen(command)
        time.sleep(seconds)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            times += 1
        process.wait()
        seconds *= 1.1
    subprocess.run(command, check=True, timeout=120)
    return times


KILLS = 10
LARGE = 300_000_000


def killed_on_the_way(shell: Shell, command: list[str], passed: Callable[[], int]) -> None:
    """Run a command, kill it after each eleventh of the bytes that have to pass, then let it end."""
    for number in range(1, KILLS + 1):
        process = shell.start(*command)
        while passed() < LARGE * number // (KILLS + 1):
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.communicate()
    done = shell.run(*command)
    assert done.returncode == 0, done.stderr


def test_a_killed_push_goes_on(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """Killed ten times with SIGKILL, a push of 300 MB sends at most ten chunks twice."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(LARGE))
    name = fresh()
    with counting_proxy(ours.address) as proxy:
        target = f"127.0.0.1:{proxy.port}/{name}:v1"
        command = ["push", "--chunk-size", "5MB", "--progress", "none", f"oci:{made.folder}:v1", target]
        killed_on_the_way(shell, command, lambda: proxy.sent)
    assert LARGE < proxy.sent < LARGE + KILLS * 5_000_000 + 1_000_000
    assert made.digests[-1] in shell.run("digest", f"{ours.address}/{name}:v1").stdout


def test_a_killed_pull_goes_on(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """Likewise a pull; for each kill what was on its way and not yet in the file comes again."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(LARGE))
    name = fresh()
    assert shell.run("push", f"oci:{made.folder}:v1", f"{ours.address}/{name}:v1").returncode == 0
    with counting_proxy(ours.address) as proxy:
        source = f"127.0.0.1:{proxy.port}/{name}:v1"
        command = ["pull", "--progress", "none", source, f"oci:{tmp_path / 'back'}:v1"]
        killed_on_the_way(shell, command, lambda: proxy.received)
    assert blobs_of(tmp_path / "back") == set(made.digests)
    assert LARGE < proxy.received < LARGE + KILLS * (16 << 20)
    assert not [path for path in (tmp_path / "back").rglob("*") if "partial" in path.name]


async def test_several_pull_into_one_layout(ours: Peer, tmp_path: Path) -> None:
    """Who comes later waits, finds the blobs there, and leaves them as they are."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(20 << 20, 5 << 20))
    source, back = f"{ours.fresh()}:v1", f"oci:{tmp_path / 'back'}:v1"
    async with ours.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", source)
        before = client.requests
        await asyncio.gather(*(client.copy(source, back) for _ in range(4)))
        assert client.requests - before < 4 * 12
    assert blobs_of(tmp_path / "back") == set(made.digests)


async def test_several_pull_into_a_new_layout(ours: Peer, tmp_path: Path) -> None:
    """Other images at the same time, into a folder that none of them has begun: the index has all of them."""
    made = MadeLayout(tmp_path / "made")
    made.write(**{f"v{number}": made.image(100) for number in range(6)})
    name = ours.fresh()
    async with ours.client(tmp_path / "state") as client:
        await client.copy_all(f"oci:{made.folder}", name)
        for attempt in range(3):
            back = tmp_path / f"back-{attempt}"
            await asyncio.gather(*(client.copy(f"{name}:v{number}", f"oci:{back}:v{number}") for number in range(6)))
            entries = json.loads((back / "index.json").read_text(encoding="utf-8"))["manifests"]
            names = {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries}
            assert names == {f"v{number}" for number in range(6)}


async def test_what_has_no_tag_is_found(ours: Peer, tmp_path: Path) -> None:
    """An image that was asked for by its digest is in the index of what it went to, and goes on from there."""
    made = MadeLayout(tmp_path / "made")
    image = made.image(1000)
    made.write(v7=image)
    name, digest = ours.fresh(), image["digest"]
    async with ours.client(tmp_path / "state") as client:
        await client.copy(str(made.folder), name)
        assert await client.tags(name) == [Tag("v7")]
        await client.copy(f"{name}@{digest}", f"oci-archive:{tmp_path / 'x.tar'}")
        await client.copy(f"{name}@{digest}", f"oci:{tmp_path / 'x'}")
        for place in (tmp_path / "x.tar", tmp_path / "x"):
            assert str((await client.resolve(str(place))).digest) == digest
            assert (await client.copy(str(place), f"{ours.fresh()}@{digest}")).manifests


async def test_a_referrer_that_is_there_but_not_listed(ours: Peer, tmp_path: Path) -> None:
    """A pull that was stopped between a signature and the index is completed by the next one."""
    made, _ = signed_index(tmp_path / "made")
    name, back = f"{ours.fresh()}:v1", tmp_path / "back"
    async with ours.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", name)
        await client.copy(name, f"oci:{back}:v1")
        index = back / "index.json"
        document = json.loads(index.read_text(encoding="utf-8"))
        whole = len(document["manifests"])
        document["manifests"] = [entry for entry in document["manifests"] if "annotations" in entry]
        index.write_text(json.dumps(document), encoding="utf-8")
        await client.copy(name, f"oci:{back}:v1")
        assert len(json.loads(index.read_text(encoding="utf-8"))["manifests"]) == whole == 3


async def test_a_signature_of_another_tag_that_is_gone(ours: Peer, tmp_path: Path) -> None:
    """What an image does not need may be missing from its layout."""
    made = MadeLayout(tmp_path / "made")
    one, two = made.image(10), made.image(20)
    signature = made.signature(two)
    made.write(one=one, two=two, _signature=signature)
    (made.folder / "blobs" / "sha256" / signature["digest"][7:]).unlink()
    async with ours.client(tmp_path / "state") as client:
        done = await client.copy(f"oci:{made.folder}:one", ours.fresh())
    assert str(done.descriptor.digest) == one["digest"]


@pytest.mark.parametrize("platform", [None, "linux/amd64"])
async def test_a_digest_that_the_target_is_to_have(ours: Peer, tmp_path: Path, platform: str | None) -> None:
    """Another image is not stored under a digest that somebody has pinned, also if it is one of an index."""
    made, index = signed_index(tmp_path / "made")
    target = f"{ours.fresh()}@{index['digest'] if platform else 'sha256:' + 'a' * 64}"
    async with ours.client(tmp_path / "state") as client:
        with pytest.raises(DigestMismatch) as refused:
            await client.copy(f"oci:{made.folder}:v1", target, platform=platform)
    assert "another image" in refused.value.cause


async def test_a_source_that_fails_in_the_middle(tmp_path: Path) -> None:
    """It is named, and not the registry that waits for its bytes; nothing is tried again in vain."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(3_000_000))
    layer = max((made.folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size).name
    with registries.running("distribution", tmp_path / "registry", login=False) as running:
        peer = Peer("distribution", f"127.0.0.1:{running.port}", login=False)
        name, target = peer.fresh(), peer.fresh()
        async with peer.client(tmp_path / "state") as client:
            await client.copy(f"oci:{made.folder}:v1", f"{name}:v1")
        path = name.partition("/")[2]
        async with httpx.AsyncClient() as plain:
            gone = await plain.delete(f"http://{peer.address}/v2/{path}/blobs/sha256:{layer}")
        assert gone.status_code == httpx.codes.ACCEPTED
        async with peer.client(tmp_path / "another-state") as client:
            with pytest.raises(NotFound) as refused:
                await client.copy(f"{name}:v1", f"{target}:v1")
            assert path in str(refused.value)
            assert client.requests < 20


async def test_an_index_that_nobody_could_read(ours: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout refuses more entries than it reads, and stays as it was."""
    monkeypatch.setattr("entrepot.client.targets.layout.ENTRIES_AT_MOST", 3)
    made = MadeLayout(tmp_path / "made")
    made.write(**{f"v{number}": made.image(10) for number in range(4)})
    name, back = ours.fresh(), tmp_path / "back"
    async with ours.client(tmp_path / "state") as client:
        await client.copy_all(f"oci:{made.folder}", name)
        await client.copy(f"{name}:v1", f"oci:{back}:v1")
        with pytest.raises(UnsupportedHere, match="back"):
            await client.copy_all(name, f"oci:{back}")
        assert (await client.resolve(f"oci:{back}:v1")).size


def test_nothing_secret_is_kept(ours: Peer, tmp_path: Path) -> None:
    """What is saved of an upload is its owner's alone."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(64 << 20))
    arguments = [f"oci:{made.folder}:v1", f"{ours.address}/{fresh()}:v1", str(tmp_path / "state")]
    killed_until_done(arguments, 1, 1.0)
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o077 == 0


def test_a_pull_by_others_is_what_was_pushed(ours: Peer, tmp_path: Path) -> None:
    """The bytes that anybody gets are those of the layout."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(3 << 20))
    name = fresh()
    killed_until_done([f"oci:{made.folder}:v1", f"{ours.address}/{name}:v1", str(tmp_path / "state")], 0, 0)
    *blobs, manifest = made.digests
    for digest in blobs:
        answer = httpx.get(f"http://{ours.address}/v2/{name}/blobs/{digest}")
        assert answer.content == (made.folder / "blobs/sha256" / digest[7:]).read_bytes()
    pulled = httpx.get(f"http://{ours.address}/v2/{name}/manifests/v1").content
    assert pulled == (made.folder / "blobs/sha256" / manifest[7:]).read_bytes()
