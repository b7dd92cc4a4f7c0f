"""Layouts and archives that somebody made to do harm, or that are damaged: named by file, and nothing is written."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.conftest import Peer
from client.layouts import INDEX, MANIFEST, MadeLayout
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode

PLAIN = ("--progress", "none")
SECRET = b"a file that is nobody's business"


@pytest.fixture
def made(tmp_path: Path) -> MadeLayout:
    """A layout with an image of two layers, and beside it a file that must not get into anything."""
    (tmp_path / "secret").write_bytes(SECRET)
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(1000, 5000))
    return made


def layer_of(made: MadeLayout) -> Path:
    """The file of the larger layer."""
    return max((made.folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)


def rewrite(made: MadeLayout, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the index of a layout."""
    path = made.folder / "index.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def nest(made: MadeLayout) -> None:
    """Indexes in indexes without end."""
    inner = made.image(10)
    for _ in range(12):
        inner = made.document({"manifests": [inner]}, INDEX)
    made.write(v1=inner)


def name_outside(made: MadeLayout, digest: str) -> None:
    """An index that names a file outside of the blobs."""
    rewrite(made, lambda index: index["manifests"][0].update(digest=digest, size=len(SECRET)))


def lie_about_size(made: MadeLayout, by: int) -> None:
    """A manifest whose size is another one than the index says."""
    rewrite(made, lambda index: index["manifests"][0].update(size=index["manifests"][0]["size"] + by))


def lie_in_the_manifest(made: MadeLayout) -> None:
    """A layer that is to have a terabyte."""
    layer = layer_of(made)
    config = made.blob(b'{"os":"linux","architecture":"amd64"}', "application/vnd.oci.image.config.v1+json")
    large = {"mediaType": "application/octet-stream", "digest": f"sha256:{layer.name}", "size": 10**12}
    made.write(v1=made.document({"config": config, "layers": [large]}, MANIFEST))


def put_a_folder_there(made: MadeLayout) -> None:
    """A folder where a layer should be."""
    layer = layer_of(made)
    layer.unlink()
    layer.mkdir()


LAYOUTS: dict[str, tuple[Callable[[MadeLayout], object], str]] = {
    "a digest with a path": (lambda made: name_outside(made, "sha256:../../../secret"), "index.json"),
    "a digest of an unknown kind": (lambda made: name_outside(made, "../..:secret"), "index.json"),
    "a manifest that is longer": (lambda made: lie_about_size(made, -1), "bytes"),
    "a manifest that is shorter": (lambda made: lie_about_size(made, 1), "bytes"),
    "a layer that is longer": (lie_in_the_manifest, "1000000000000 bytes"),
    "a layer that was cut off": (lambda made: layer_of(made).write_bytes(b"short"), "wanted 5000 bytes"),
    "a layer that is not there": (lambda made: layer_of(made).unlink(), "lacks this blob"),
    "a layer that is a folder": (put_a_folder_there, "lacks this blob"),
    "indexes without end": (nest, "nested without end"),
    "an index that is no JSON": (lambda made: (made.folder / "index.json").write_bytes(b"{" * 99), "index.json"),
    "an index that is deep": (lambda made: (made.folder / "index.json").write_bytes(b"[" * 10**6), "index.json"),
    "an index that is huge": (lambda made: (made.folder / "index.json").write_bytes(b" " * (9 << 20)), "index.json"),
    "an index that is an array": (lambda made: (made.folder / "index.json").write_bytes(b"[]"), "index.json"),
    "another version": (
        lambda made: (made.folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"2.0.0"}'),
        "oci-layout",
    ),
    "no marker": (lambda made: (made.folder / "oci-layout").unlink(), "oci-layout"),
}


@pytest.mark.parametrize("damage", LAYOUTS)
def test_layouts(ours: Peer, shell: Shell, made: MadeLayout, damage: str) -> None:
    """Refused with the file that is wrong, without a trace; the registry has no such tag."""
    spoil, said = LAYOUTS[damage]
    spoil(made)
    target = f"{ours.fresh()}:v1"
    ended = shell.run("push", *PLAIN, f"oci:{made.folder}:v1", target)
    assert ended.returncode in {ExitCode.INTEGRITY, ExitCode.NOT_FOUND}, ended.stderr
    assert said in ended.stderr
    assert "--debug" not in ended.stderr
    assert shell.run("digest", target).returncode == ExitCode.NOT_FOUND


def test_a_layer_with_another_content(ours: Peer, shell: Shell, made: MadeLayout) -> None:
    """The registry compares the digest of what it is sent, and the manifest never gets there."""
    layer = layer_of(made)
    layer.write_bytes(b"X" * layer.stat().st_size)
    target = f"{ours.fresh()}:v1"
    ended = shell.run("push", *PLAIN, f"oci:{made.folder}:v1", target)
    assert ended.returncode == ExitCode.INTEGRITY, ended.stderr
    assert layer.name in ended.stderr
    assert shell.run("digest", target).returncode == ExitCode.NOT_FOUND


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields: Any) -> None:
    """Add a member of any kind to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


def docker_list(layer: str, config: str = "c.json") -> tuple[str, bytes, dict[str, Any]]:
    """A manifest.json as `docker save` writes it."""
    content = json.dumps([{"Config": config, "RepoTags": ["app:v1"], "Layers": [layer]}]).encode()
    return ("manifest.json", content, {})


CONFIG: tuple[str, bytes, dict[str, Any]] = ("c.json", b"{}", {})

ARCHIVES: dict[str, tuple[list[tuple[str, bytes, dict[str, Any]]], str]] = {
    "files outside": ([docker_list("../secret"), CONFIG], "../secret"),
    "links to outside": (
        [docker_list("layer.tar"), CONFIG, ("layer.tar", b"", {"type": tarfile.SYMTYPE, "linkname": "../secret"})],
        "layer.tar",
    ),
    "hard links to outside": (
        [docker_list("layer.tar"), CONFIG, ("layer.tar", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
        "layer.tar",
    ),
    "links in a circle": (
        [
            docker_list("a", "a"),
            ("a", b"", {"type": tarfile.SYMTYPE, "linkname": "b"}),
            ("b", b"", {"type": tarfile.SYMTYPE, "linkname": "a"}),
        ],
        "lacks this file",
    ),
    "a device": (
        [docker_list("zero"), CONFIG, ("zero", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})],
        "zero",
    ),
    "no list": ([("other", b"x", {})], "no such file"),
    "a list of something else": ([("manifest.json", b'{"Layers": 7}', {})], "manifest.json"),
    "a config that is no name": (
        [("manifest.json", b'[{"Config": {}, "Layers": [], "RepoTags": []}]', {})],
        "manifest.json",
    ),
}


@pytest.mark.parametrize("damage", ARCHIVES)
def test_archives(ours: Peer, shell: Shell, made: MadeLayout, tmp_path: Path, damage: str) -> None:
    """Nothing is ever unpacked, and no link leads out."""
    members, said = ARCHIVES[damage]
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        for name, content, fields in members:
            add(archive, name, content, **fields)
    before = {path.name for path in tmp_path.iterdir()} | {"state"}
    target = f"{ours.fresh()}:v1"
    ended = shell.run("push", *PLAIN, f"docker-archive:{tmp_path / 'bad.tar'}", target)
    assert ended.returncode in {ExitCode.INTEGRITY, ExitCode.NOT_FOUND}, ended.stderr
    assert said in ended.stderr
    assert "--debug" not in ended.stderr
    assert shell.run("digest", target).returncode == ExitCode.NOT_FOUND
    assert {path.name for path in tmp_path.iterdir()} <= before
    assert made.folder.exists()


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("keep", [0, 100, 600, 4000])
def test_archives_that_end_early(
    ours: Peer, shell: Shell, made: MadeLayout, tmp_path: Path, kind: str, keep: int
) -> None:
    """Cut off anywhere, an archive is named, and the registry gets no tag."""
    good, cut = tmp_path / "good.tar", tmp_path / "cut.tar"
    name = "v1" if kind == "oci-archive" else "app:v1"
    assert shell.run("copy", *PLAIN, f"oci:{made.folder}:v1", f"{kind}:{good}:{name}").returncode == ExitCode.OK
    cut.write_bytes(good.read_bytes()[:keep])
    target = f"{ours.fresh()}:v1"
    ended = shell.run("push", *PLAIN, f"{kind}:{cut}", target)
    assert ended.returncode in {ExitCode.INTEGRITY, ExitCode.NOT_FOUND}, ended.stderr
    assert "cut.tar" in ended.stderr
    assert "--debug" not in ended.stderr
    assert shell.run("digest", target).returncode == ExitCode.NOT_FOUND


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_archives_that_are_compressed(ours: Peer, shell: Shell, tmp_path: Path, mode: str) -> None:
    """What is compressed is said, with how."""
    with tarfile.open(tmp_path / "packed.tar", mode) as archive:  # type: ignore[call-overload]  # the modes are right
        add(archive, "manifest.json", b"[]")
    ended = shell.run("push", *PLAIN, f"docker-archive:{tmp_path / 'packed.tar'}", f"{ours.fresh()}:v1")
    assert ended.returncode == ExitCode.INTEGRITY
    assert "is compressed with" in ended.stderr


def test_the_same_image_makes_the_same_archive(shell: Shell, made: MadeLayout, tmp_path: Path) -> None:
    """No times, owners or names of this machine are in it."""
    found = set()
    for number in range(2):
        archive = tmp_path / f"{number}.tar"
        assert shell.run("copy", *PLAIN, f"oci:{made.folder}:v1", f"oci-archive:{archive}:v1").returncode == 0
        found.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(found) == 1
