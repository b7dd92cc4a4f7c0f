"""What every client of images does with the registry. A client's tests subclass this and say what ``client`` is."""

import secrets
from dataclasses import dataclass
from typing import Protocol

import httpx
import pytest

from clients.image import Layout
from clients.logins import REFUSED, LoginContract
from clients.requests import BLOB, MANIFEST, UPLOADS, Watch
from harness.administration import Administration
from harness.protocol import digest_of
from harness.registry import ADMIN, LiveRegistry

ANY_MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Image:
    """An image as a client knows it: the digest of its manifest and that of its config."""

    digest: str
    config: str


class ImageClient(Protocol):
    """A client of one person; it keeps no image longer than a push or pull takes."""

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        ...

    def push(self, layout: Layout, reference: str) -> Image:
        """Push an image and return what the client says about it."""
        ...

    def push_in_vain(self, layout: Layout, reference: str) -> str:
        """Push an image where that is refused, and return what the client says."""
        ...

    def pull(self, reference: str) -> Image:
        """Pull an image of which the client has nothing and return what it got."""
        ...


@dataclass(frozen=True)
class ImageCarrier:
    """A client of images with an image to bring."""

    client: ImageClient
    image: Layout

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in as the client does."""
        return self.client.log_in(registry, password, name=name, expected_to_fail=expected_to_fail)

    def bring(self, reference: str) -> Image:
        """Push the image."""
        return self.client.push(self.image, reference)

    def bring_in_vain(self, reference: str) -> str:
        """Push the image where that is refused."""
        return self.client.push_in_vain(self.image, reference)

    def fetch(self, reference: str) -> Image:
        """Pull the image."""
        return self.client.pull(reference)


class ImageClientContract(LoginContract):
    """Log in, push, pull, by tag and by digest, with layers of many kinds."""

    @pytest.fixture
    def carrier(self, client: ImageClient, small_image: Layout) -> ImageCarrier:
        """The client with a small image."""
        return ImageCarrier(client, small_image)

    @pytest.fixture
    def repository(self) -> str:
        """A repository of the test's own."""
        return f"contract/{secrets.token_hex(6)}"

    def test_a_wrong_password_is_refused(self, client: ImageClient, private_registry: LiveRegistry) -> None:
        """The client tells a wrong password from the right one."""
        # An account of the test's own: the registry lets nobody try one password after the other for long.
        name = f"mistaken-{secrets.token_hex(4)}"
        Administration(private_registry.data).user(name, "the-right-password")

        said = client.log_in(private_registry, "not-the-password", name=name, expected_to_fail=True)

        assert REFUSED.search(said)
        client.log_in(private_registry)

    @pytest.mark.parametrize("kind", ["image", "large_image", "many_layers_image"])
    def test_an_image_comes_back_as_it_was_pushed(
        self,
        request: pytest.FixtureRequest,
        client: ImageClient,
        private_registry: LiveRegistry,
        admin: httpx.Client,
        repository: str,
        kind: str,
    ) -> None:
        """By tag comes the image that was pushed: four layers, one of 64 MiB, twenty at once; all bytes were sent."""
        layout: Layout = request.getfixturevalue(kind)
        reference = f"{private_registry.address}/{repository}:1.0"
        client.log_in(private_registry)

        pushed = client.push(layout, reference)
        watch = Watch(private_registry, repository)
        pulled = client.pull(reference)

        assert pulled == pushed
        watch.wait_for("GET", BLOB, httpx.codes.OK, times=layout.layer_count())
        assert layer_count_of(admin, repository, pushed) == layout.layer_count()

    def test_an_image_without_a_tag_is_pulled_by_digest(
        self,
        client: ImageClient,
        small_image: Layout,
        private_registry: LiveRegistry,
        admin: httpx.Client,
        repository: str,
    ) -> None:
        """When its tag is deleted, the image still comes by its digest, and by its tag no more."""
        repository_of_client = f"{private_registry.address}/{repository}"
        client.log_in(private_registry)
        pushed = client.push(small_image, f"{repository_of_client}:1.0")

        deleted = admin.delete(f"/v2/{repository}/manifests/1.0")

        assert deleted.status_code == httpx.codes.ACCEPTED
        assert client.pull(f"{repository_of_client}@{pushed.digest}") == pushed
        assert admin.get(f"/v2/{repository}/manifests/1.0").status_code == httpx.codes.NOT_FOUND

    def test_a_second_push_sends_no_blob(
        self, client: ImageClient, small_image: Layout, private_registry: LiveRegistry, repository: str
    ) -> None:
        """The client asks for each blob with HEAD, finds it, and opens no upload."""
        reference = f"{private_registry.address}/{repository}"
        client.log_in(private_registry)
        pushed = client.push(small_image, f"{reference}:1.0")
        watch = Watch(private_registry, repository)

        again = client.push(small_image, f"{reference}:2.0")

        assert again == pushed
        watch.wait_for("PUT", MANIFEST, httpx.codes.CREATED)
        assert not [seen for seen in watch.requests() if seen.route == UPLOADS]
        assert watch.count("HEAD", BLOB, httpx.codes.OK) >= small_image.layer_count()


def layer_count_of(admin: httpx.Client, repository: str, image: Image) -> int:
    """How many layers an image in the registry has, each of them read and compared with its digest."""
    answer = admin.get(f"/v2/{repository}/manifests/{image.digest}", headers={"Accept": ANY_MANIFEST})
    assert digest_of(answer.content) == image.digest
    manifest = answer.json()
    assert manifest["config"]["digest"] == image.config
    for descriptor in (manifest["config"], *manifest["layers"]):
        content = admin.get(f"/v2/{repository}/blobs/{descriptor['digest']}").content
        assert digest_of(content) == descriptor["digest"]
        assert len(content) == descriptor["size"]
    return len(manifest["layers"])
