"""Images on disk, made from random bytes: one platform or several, with something that refers to them."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
SIGNATURE = "application/vnd.example.signature"

Descriptor = dict[str, Any]


@dataclass
class MadeLayout:
    """An OCI image layout in a folder; ``digests`` are all of its manifests and blobs."""

    folder: Path
    digests: list[str] = field(default_factory=list)

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        """Add content."""
        encoded = hashlib.sha256(content).hexdigest()
        path = self.folder / "blobs" / "sha256" / encoded
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.digests.append(f"sha256:{encoded}")
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}

    def document(self, content: dict[str, Any], media_type: str) -> Descriptor:
        """Add a JSON document."""
        return self.blob(json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode(), media_type)

    def image(self, *layers: int, architecture: str = "amd64", config: Mapping[str, Any] | None = None) -> Descriptor:
        """Add an image with layers of so many bytes; ``config`` says how its containers are started."""
        rootfs = {"type": "layers", "diff_ids": []}
        content = {"architecture": architecture, "os": "linux", "rootfs": rootfs, "config": dict(config or {})}
        described = [self.blob(os.urandom(size), LAYER) for size in layers]
        made = self.document({"config": self.blob(json.dumps(content).encode(), CONFIG), "layers": described}, MANIFEST)
        return {**made, "platform": {"os": "linux", "architecture": architecture}}

    def signature(self, subject: Descriptor) -> Descriptor:
        """Add an artifact that refers to a manifest."""
        plain = {key: subject[key] for key in ("mediaType", "digest", "size")}
        empty = self.blob(b"{}", "application/vnd.oci.empty.v1+json")
        layer = self.blob(os.urandom(100), SIGNATURE)
        content = {"artifactType": SIGNATURE, "config": empty, "layers": [layer], "subject": plain}
        return {**self.document(content, MANIFEST), "artifactType": SIGNATURE}

    def write(self, **tags: Descriptor) -> None:
        """Write the index of the layout: what has a tag, and further manifests under ``_`` names."""
        entries = []
        for tag, descriptor in tags.items():
            named = {} if tag.startswith("_") else {"annotations": {"org.opencontainers.image.ref.name": tag}}
            entries.append({**descriptor, **named})
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
        (self.folder / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}), encoding="utf-8"
        )


def signed_index(folder: Path) -> tuple[MadeLayout, Descriptor]:
    """A layout with ``v1``: an index of two platforms with three layers each, and signatures of it and of a child."""
    made = MadeLayout(folder)
    children = [made.image(1000, 300_000, 2_500_000, architecture=one) for one in ("amd64", "arm64")]
    index = made.document({"manifests": children}, INDEX)
    made.write(v1=index, _one=made.signature(index), _two=made.signature(children[0]))
    return made, index


def blobs_of(folder: Path) -> set[str]:
    """The digests of what lies in a layout; each is that of its content."""
    found = set()
    for path in (folder / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        found.add(f"sha256:{path.name}")
    return found
