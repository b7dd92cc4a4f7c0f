"""A registry in this process, and the few requests that most tests of the protocol begin with."""

import contextlib
import json
import secrets
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx

from entrepot.compose import OPERATIONS, PUBLIC, AppFactory, limits_of, prepare
from entrepot.http.listeners import Listener
from entrepot.http.server import serving
from entrepot.oci import Algorithm, Digest
from entrepot.settings import Settings, load_settings

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = b"{}"
SECONDS_AT_MOST = 30.0


class Repository:
    """A repository of its own for one test, and requests to it as the admin."""

    def __init__(self, client: httpx.Client, name: str | None = None) -> None:
        self.client = client
        self.name = name or f"test/{secrets.token_hex(6)}"
        self.base = f"/v2/{self.name}"

    def other(self) -> "Repository":
        """One more repository of the same registry."""
        return Repository(self.client)

    def start_upload(self, query: str = "") -> str:
        """Open an upload session; returns its location."""
        answer = self.client.post(f"{self.base}/blobs/uploads/{query}")
        assert answer.status_code == httpx.codes.ACCEPTED
        return answer.headers["location"]

    def push_blob(self, content: bytes = EMPTY, algorithm: str = "sha256") -> str:
        """Push a blob in one request; returns its digest."""
        digest = digest_of(content, algorithm)
        answer = self.client.post(f"{self.base}/blobs/uploads/", params={"digest": digest}, content=content)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return digest

    def put_manifest(
        self, reference: str, manifest: Mapping[str, Any] | bytes, content_type: str | None = None, **options: Any
    ) -> httpx.Response:
        """PUT a manifest under a tag or digest, with the type that it states itself unless another is given."""
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        if content_type is None and not isinstance(manifest, bytes):
            content_type = str(manifest["mediaType"])
        headers = {**options.pop("headers", {}), **({"Content-Type": content_type} if content_type else {})}
        return self.client.put(f"{self.base}/manifests/{reference}", content=content, headers=headers, **options)

    def push_image(self, tag: str = "v1", *layers: bytes, **fields: Any) -> str:
        """Push an image with an empty config and ``layers``; returns its digest."""
        self.push_blob()
        for layer in layers:
            self.push_blob(layer)
        answer = self.put_manifest(tag, image(*layers, **fields))
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return answer.headers["docker-content-digest"]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """The digest as text."""
    return str(Digest.of(content, Algorithm(algorithm)))


def descriptor(content: bytes, media_type: str = LAYER, **fields: Any) -> dict[str, Any]:
    """The descriptor of some content."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **fields}


def image(*layers: bytes, **fields: Any) -> dict[str, Any]:
    """An image manifest with an empty config."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(layer) for layer in layers],
        **fields,
    }


def index(*manifests: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """An index of descriptors."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests), **fields}


class RunningRegistry:
    """A registry that serves in a thread of this process."""

    def __init__(self, settings: Settings, url: str, operations_url: str, password: str) -> None:
        self.settings = settings
        self.url = url
        self.operations_url = operations_url
        self.password = password

    @property
    def port(self) -> int:
        """The public port."""
        return httpx.URL(self.url).port or 80

    def client(self, *, auth: tuple[str, str] | None = None, **headers: str) -> httpx.Client:
        """A client with Basic credentials, or without any."""
        return httpx.Client(base_url=self.url, auth=auth, headers=headers, timeout=SECONDS_AT_MOST)

    def admin(self) -> httpx.Client:
        """A client that sends the admin's password."""
        return self.client(auth=("admin", self.password))


@contextlib.contextmanager
def registry_in(folder: Path, tables: str = "", **flags: str) -> Generator[RunningRegistry, None, None]:
    """Serve a registry whose data lies in ``folder``; ``flags`` are settings, with ``__`` for the dot of a section.

    ``tables`` is what the settings file has, for what flags cannot say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(16)
    password_file = folder / "given-password"
    password_file.write_text(password, encoding="utf-8")
    given = {"data": str(folder / "data"), "admin.password_file": str(password_file)}
    given |= {key.replace("__", "."): value for key, value in flags.items()}
    config = folder / "entrepot.toml"
    config.write_text(tables, encoding="utf-8")
    settings = load_settings(given, {}, config).settings
    prepare(settings)
    listeners = [Listener(PUBLIC, "127.0.0.1", 0), Listener(OPERATIONS, "127.0.0.1", 0)]
    with serving(AppFactory(settings), listeners, limits=limits_of(settings)) as (public, operations):
        yield RunningRegistry(settings, public.url, operations.url, password)
