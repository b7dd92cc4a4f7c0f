"""A blob that some repository of the registry holds is mounted from there, not sent."""

import secrets
import sqlite3
from collections import Counter
from pathlib import Path

from client.conftest import Peer
from client.layouts import CONFIG, LAYER, MANIFEST, Descriptor, MadeLayout
from client.shell import LOGIN, Shell
from entrepot.client.progress import Event, Stage
from entrepot.client.targets.registry.known_blobs import KnownBlobs
from entrepot.oci import Digest


class Stages:
    """Counts how blobs and manifests came to be there."""

    def __init__(self) -> None:
        self.of: Counter[Stage] = Counter()

    def __call__(self, event: Event) -> None:
        """Take an event of a copy."""
        if event.descriptor.media_type == LAYER:
            self.of[event.stage] += 1

    def take(self) -> tuple[int, int, int]:
        """How many layers were sent, mounted and there since the last time."""
        found = (self.of[Stage.DONE], self.of[Stage.MOUNTED], self.of[Stage.EXISTS])
        self.of.clear()
        return found


def on_top(made: MadeLayout, layers: list[Descriptor], base: str | None = None) -> Descriptor:
    """An image of a layer of its own on top of others."""
    config = made.blob(secrets.token_bytes(100), CONFIG)
    content = {"config": config, "layers": [*layers, made.blob(secrets.token_bytes(5000), LAYER)]}
    named = {} if base is None else {"annotations": {"org.opencontainers.image.base.name": base}}
    return made.document({**content, **named}, MANIFEST)


async def test_what_this_user_pushed_before(peer: Peer, tmp_path: Path) -> None:
    """The layers of an image that was pushed elsewhere are mounted, also by another process."""
    made = MadeLayout(tmp_path / "made")
    layers = [made.blob(secrets.token_bytes(3000), LAYER) for _ in range(2)]
    made.write(one=on_top(made, layers), two=on_top(made, layers), three=on_top(made, layers))
    stages = Stages()
    first, second = peer.fresh(), peer.fresh()
    async with peer.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:one", f"{first}:v1", progress=stages)
        assert stages.take() == (3, 0, 0)
        await client.copy(f"oci:{made.folder}:two", f"{first}:v2", progress=stages)
        assert stages.take() == (1, 0, 2)
    async with peer.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:three", f"{second}:v3", progress=stages)
        assert stages.take() == (1, 2, 0)


async def test_what_the_base_image_has(peer: Peer, tmp_path: Path) -> None:
    """The base image that an annotation names is asked for its layers by somebody who has never seen it."""
    made = MadeLayout(tmp_path / "made")
    layers = [made.blob(secrets.token_bytes(3000), LAYER) for _ in range(2)]
    base, top = peer.fresh(), peer.fresh()
    made.write(base=on_top(made, layers[:1]), top=on_top(made, layers, f"{base}:v1"))
    stages = Stages()
    async with peer.client(tmp_path / "one") as client:
        await client.copy(f"oci:{made.folder}:base", f"{base}:v1")
    async with peer.client(tmp_path / "two") as client:
        await client.copy(f"oci:{made.folder}:top", f"{top}:v1", progress=stages)
    assert stages.take() == (2, 1, 0)


async def test_hints_that_are_wrong(peer: Peer, tmp_path: Path) -> None:
    """A repository that is not there, or has it no more, costs one question and is forgotten."""
    made = MadeLayout(tmp_path / "made")
    layer = made.blob(secrets.token_bytes(3000), LAYER)
    made.write(v1=on_top(made, [layer]), v2=on_top(made, [], f"{peer.address}/nobody/base:1"))
    known = KnownBlobs(tmp_path / "state" / "blobs.sqlite")
    known.note(peer.address, "nobody/none", Digest.parse(layer["digest"]))
    stages = Stages()
    target = peer.fresh()
    async with peer.client(tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", f"{target}:v1", progress=stages)
        assert stages.take() == (2, 0, 0)
        await client.copy(f"oci:{made.folder}:v2", f"{target}:v2", progress=stages)
        assert stages.take() == (1, 0, 0)
    repository = target.partition("/")[2]
    assert known.find(peer.address, Digest.parse(layer["digest"]), "") == repository
    known.close()


def test_where_there_is_no_right(ours_with_login: Peer, shell: Shell, tmp_path: Path) -> None:
    """A database that is damaged, or cannot be written, ends no push; it is its owner's alone."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=on_top(made, []), v2=on_top(made, []))
    file = shell.home / "state" / "entrepot" / "blobs.sqlite"
    name = ours_with_login.fresh()
    assert shell.run("push", f"oci:{made.folder}:v1", f"{name}:v1", environment=LOGIN).returncode == 0
    assert file.stat().st_mode & 0o077 == 0
    with sqlite3.connect(file) as database:
        assert database.execute("select count(*) from known_blobs").fetchone()[0] >= 2
    database.close()
    file.write_bytes(b"no database" * 1000)
    assert shell.run("push", f"oci:{made.folder}:v2", f"{name}:v2", environment=LOGIN).returncode == 0


def test_old_hints_go(tmp_path: Path) -> None:
    """What was seen long ago is not asked for any more; without a file nothing outlives the process."""
    digest = Digest.of(b"content")
    known = KnownBlobs(tmp_path / "blobs.sqlite")
    known.note("registry.example.com", "team/app", digest)
    assert known.find("registry.example.com", digest, "team/web") == "team/app"
    assert known.find("registry.example.com", digest, "team/app") is None
    assert known.find("other.example.com", digest, "") is None
    known.close()
    with sqlite3.connect(tmp_path / "blobs.sqlite") as database:
        database.execute("update known_blobs set seen_at = 1")
    database.close()
    assert KnownBlobs(tmp_path / "blobs.sqlite").find("registry.example.com", digest, "") is None
