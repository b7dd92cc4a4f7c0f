"""docker with a real engine: log in, push, pull, run."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from clients.contract import ImageClientContract
from clients.engine import PUSHED, Docker
from clients.image import Layout
from clients.logins import REFUSED
from harness.registry import ADMIN, LiveRegistry

DOCKERFILE = """
FROM scratch
ADD base-files.tar /
ADD busybox-static.tar /
ADD libc6.tar /
ADD tzdata.tar /
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && echo made here > /etc/made-here"]
CMD ["/bin/sh"]
"""

# What the Dockerfile makes: one for each ADD and RUN.
LAYERS = 5


def log_in(docker: Docker, registry: LiveRegistry) -> None:
    """Log in as the admin."""
    docker("login", "--username", ADMIN, "--password-stdin", registry.address, stdin=registry.admin_password)


@dataclass(frozen=True)
class BuiltImage:
    """An image that docker built; the engine itself keeps nothing of it."""

    id: str
    archive: Path


@pytest.fixture(scope="session")
def built(dockerd: Path, layers: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image with the files of Debian packages, and what a RUN added to them."""
    context = tmp_path_factory.mktemp("context")
    for package, archive in layers.items():
        (context / f"{package}.tar").write_bytes(archive)
    (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    docker = Docker(dockerd, context / "config")
    image = BuiltImage(docker("build", "--quiet", "--network", "none", context).strip(), context / "image.archive")
    docker("save", "--output", image.archive, image.id)
    docker("image", "prune", "--all", "--force")
    return image


@contextlib.contextmanager
def tagged(docker: Docker, image: BuiltImage, *references: str) -> Generator[None, None, None]:
    """Let the engine have the image under these names, and forget it afterwards, layers and all."""
    docker("load", "--quiet", "--input", image.archive)
    try:
        for reference in references:
            docker("tag", image.id, reference)
        yield
    finally:
        docker("rmi", "--force", image.id)


def push(docker: Docker, image: BuiltImage, reference: str) -> str:
    """Push an image and return the digest that docker computed."""
    with tagged(docker, image, reference):
        pushed = PUSHED.search(docker("push", reference))
    assert pushed is not None
    return pushed[1]


def pull(docker: Docker, reference: str) -> tuple[str, list[str]]:
    """Pull an image of which the engine has nothing, and return its id and the digests it is known by."""
    said = docker("pull", reference)
    try:
        assert said.count("Pull complete") == LAYERS
        found = docker("image", "inspect", "--format", "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}", reference).split()
    finally:
        docker("rmi", "--force", reference)
    return found[0], found[1:]


def test_login_with_a_wrong_password_is_refused(docker: Docker, private_registry: LiveRegistry) -> None:
    """`docker login` tells a wrong password from the right one."""
    wrong = ["login", "--username", ADMIN, "--password-stdin", private_registry.address]

    said = docker(*wrong, stdin="not-the-password", expected_to_fail=True)

    assert REFUSED.search(said)
    log_in(docker, private_registry)


def test_login_with_a_wrong_password_is_refused_where_anonymous_pull_is_on(
    docker: Docker, public_registry: LiveRegistry
) -> None:
    """That nobody needs a password to pull does not make a wrong one right."""
    wrong = ["login", "--username", ADMIN, "--password-stdin", public_registry.address]

    said = docker(*wrong, stdin="not-the-password", expected_to_fail=True)

    assert REFUSED.search(said)
    log_in(docker, public_registry)


def test_an_image_comes_back_as_it_was_pushed(
    docker: Docker, built: BuiltImage, private_registry: LiveRegistry
) -> None:
    """By tag and by digest comes the image that was pushed, under the digest that docker computed when it pushed."""
    repository = f"{private_registry.address}/docker/round-trip"
    log_in(docker, private_registry)

    digest = push(docker, built, f"{repository}:1.0")

    assert pull(docker, f"{repository}:1.0") == (built.id, [f"{repository}@{digest}"])
    assert pull(docker, f"{repository}@{digest}") == (built.id, [f"{repository}@{digest}"])


def test_a_pulled_image_runs(docker: Docker, built: BuiltImage, private_registry: LiveRegistry) -> None:
    """The root filesystem that was pulled is the one that was built."""
    reference = f"{private_registry.address}/docker/run:latest"
    log_in(docker, private_registry)
    push(docker, built, reference)
    question = "cat /etc/made-here && test -s /usr/share/zoneinfo/Europe/Berlin && test -s /etc/debian_version && id -u"

    said = docker("run", "--rm", "--network", "none", reference, "/bin/sh", "-c", question)
    docker("rmi", "--force", reference)

    assert said.split() == ["made", "here", "0"]


def test_layers_that_are_there_are_not_sent_again(
    docker: Docker, built: BuiltImage, private_registry: LiveRegistry
) -> None:
    """A second push finds every layer, and a push to another repository mounts them."""
    repository = f"{private_registry.address}/docker/again"
    log_in(docker, private_registry)
    names = [f"{repository}:first", f"{repository}:second", f"{repository}-elsewhere:first"]

    with tagged(docker, built, *names):
        first, again, elsewhere = (docker("push", name) for name in names)

    assert again.count("Layer already exists") == LAYERS
    assert elsewhere.count("Mounted from") == LAYERS
    digests = [pushed[1] for said in (first, again, elsewhere) if (pushed := PUSHED.search(said))]
    assert digests == [digests[0]] * 3


def test_anonymous_pull_but_no_anonymous_push(
    docker: Docker, docker_of_a_stranger: Docker, built: BuiltImage, public_registry: LiveRegistry
) -> None:
    """With `--anonymous pull` everybody pulls, and only who is logged in pushes."""
    repository = f"{public_registry.address}/docker/public"
    log_in(docker, public_registry)
    digest = push(docker, built, f"{repository}:1.0")

    assert pull(docker_of_a_stranger, f"{repository}:1.0") == (built.id, [f"{repository}@{digest}"])
    with tagged(docker, built, f"{repository}:2.0"):
        said = docker_of_a_stranger("push", f"{repository}:2.0", expected_to_fail=True)

    assert REFUSED.search(said)
    assert "not found" in docker("pull", f"{repository}:2.0", expected_to_fail=True)


def test_no_anonymous_pull_where_it_is_off(
    docker: Docker, docker_of_a_stranger: Docker, built: BuiltImage, private_registry: LiveRegistry
) -> None:
    """With `--anonymous none` nobody pulls without logging in."""
    reference = f"{private_registry.address}/docker/private:1.0"
    log_in(docker, private_registry)
    push(docker, built, reference)

    said = docker_of_a_stranger("pull", reference, expected_to_fail=True)

    assert REFUSED.search(said)


class TestDocker(ImageClientContract):
    """What every client of images does."""

    @pytest.fixture
    def client(self, docker: Docker) -> Docker:
        """Docker of someone who has not logged in anywhere."""
        return docker


def test_an_index_is_made_of_what_was_pushed(
    docker: Docker, small_image: Layout, private_registry: LiveRegistry, admin: httpx.Client
) -> None:
    """`docker manifest create` and `push` make an index of an image, said to be for another architecture."""
    repository = f"{private_registry.address}/docker/index"
    docker.log_in(private_registry)
    pushed = docker.push(small_image, f"{repository}:here")

    docker("manifest", "create", "--insecure", f"{repository}:1.0", f"{repository}@{pushed.digest}")
    docker("manifest", "annotate", "--arch", "arm64", f"{repository}:1.0", f"{repository}@{pushed.digest}")
    digest = docker("manifest", "push", "--insecure", f"{repository}:1.0").split()[-1]

    answer = admin.get("/v2/docker/index/manifests/1.0")
    (entry,) = answer.json()["manifests"]
    assert answer.headers["docker-content-digest"] == digest
    assert entry["digest"] == pushed.digest
    assert entry["platform"]["architecture"] == "arm64"
