"""The client as programs use it: without asynchronous code, with a bound on its speed, as the pages show it."""

import re
import time
from pathlib import Path

import pytest

from client.conftest import Peer
from client.layouts import MadeLayout, blobs_of, signed_index
from entrepot.client import sync
from entrepot.client.client import Client
from entrepot.client.errors import NotFound
from entrepot.client.targets.registry.saved_uploads import SavedUploads
from entrepot.client.transport import RateLimit
from entrepot.oci import Digest, Tag

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs").glob("client.*md"))


def test_without_asynchronous_code(ours_with_login: Peer, tmp_path: Path) -> None:
    """Every call waits for its end, and raises the same errors."""
    made, index = signed_index(tmp_path / "made")
    name = ours_with_login.fresh()
    with sync.Client(client=lambda: ours_with_login.client(tmp_path / "state")) as client:
        copied = client.copy(f"oci:{made.folder}:v1", f"{name}:v1")
        assert str(copied.descriptor.digest) == index["digest"]
        assert client.resolve(f"{name}:v1").digest == copied.descriptor.digest
        assert client.manifest(f"{name}:v1")[0] == client.tag(f"{name}:v1", [Tag("v2")])
        assert [tag.text for tag in client.tags(name) if not tag.text.startswith("sha256-")] == ["v1", "v2"]
        assert client.inspect(f"{name}:v1").platforms == ["linux/amd64", "linux/arm64"]
        assert name.partition("/")[2] in [one.text for one in client.repositories(ours_with_login.address)]
        blob = max((made.folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
        chunks = client.blob_reader(name, Digest.parse(f"sha256:{blob.name}"), blob.stat().st_size)
        assert b"".join(chunks) == blob.read_bytes()
        client.untag(f"{name}:v2")
        client.delete(f"{name}:v1")
        with pytest.raises(NotFound):
            client.resolve(f"{name}:v1")


async def test_a_bound_on_speed(ours: Peer, tmp_path: Path) -> None:
    """All blobs together take as long as the bound says, on the way up and on the way down."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(1_000_000, 1_000_000, 1_000_000))
    name = f"{ours.fresh()}:v1"
    saved = SavedUploads(tmp_path / "state")
    async with Client(saved_uploads=saved, rate=RateLimit(2_000_000)) as client:
        for source, target in ((f"oci:{made.folder}:v1", name), (name, f"oci:{tmp_path / 'back'}:v1")):
            began = time.monotonic()
            await client.copy(source, target)
            assert time.monotonic() - began > 1.3
    assert blobs_of(tmp_path / "back") == set(made.digests)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_the_page(page: Path, ours: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs in the documentation run as they stand."""
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    _, index = signed_index(tmp_path / "build")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for example in examples:
        assert "localhost:5000" in example
        printed: list[object] = []
        exec(example.replace("localhost:5000", ours.address), {"print": printed.append})  # ruff: ignore[exec-builtin]
        assert str(printed[0]) == index["digest"]
