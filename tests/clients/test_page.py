"""docs/clients.md: its commands, run as they stand, against a registry with a certificate of a private authority.

They run in the sandbox, so that certificates lie where the page says.
"""

import dataclasses
import re
import secrets
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from clients.containerd import Ctr
from clients.engine import Docker
from clients.image import Layout
from clients.logins import REFUSED
from clients.podman import Podman
from clients.sandbox import TLS_NAME, Sandbox
from harness.certificates import Certificates, make_certificates
from harness.plain_logins import keep_logins_in
from harness.programs import CHECKOUT, find_program, run_program, tools_folder
from harness.registry import ADMIN, LiveRegistry, running_registry

PAGES = {name: CHECKOUT / "docs" / name for name in ("clients.md", "clients.zh-CN.md")}
ADDRESS = f"{TLS_NAME}:5000"

CLIENTS = ("docker", "podman", "buildah", "skopeo", "ctr", "crane", "oras", "helm")
# The first command of each that speaks to the registry: `crane auth login` asks it nothing, ctr has no login.
FIRST_CONTACT = {"ctr": "ctr images push", "crane": "crane push", "helm": "helm registry login"}

UNTRUSTED = re.compile(r"x509: certificate signed by unknown authority|certificate signed by unknown authority")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """The commands about one client."""

    trust: list[str]
    use: list[str]
    delete: list[str]

    def until_contact(self, client: str) -> list[str]:
        """The commands of use up to the first that speaks to the registry."""
        contact = FIRST_CONTACT.get(client, f"{client} login")
        (last,) = [number for number, command in enumerate(self.use) if command.startswith(contact)]
        return self.use[: last + 1]


def read_section(page: Path, client: str) -> Section:
    """The blocks of a section: trust in the authority (oras and helm say it in each command), use, deletion."""
    text = page.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {client}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = [re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] for block in BLOCK.findall(section)]
    use, delete = blocks[-2:]
    return Section(blocks[0] if len(blocks) == 3 else [], use, delete)


@dataclass(frozen=True)
class Desk:
    """A folder with what the page takes for granted, and a shell in the sandbox."""

    sandbox: Sandbox
    folder: Path
    registry: LiveRegistry
    environment: dict[str, str]

    def type(self, commands: list[str], *, expected_to_fail: bool = False) -> str:
        """Run commands of the page; only the port is another. Where they are expected to fail, the last one does."""
        here = f"{TLS_NAME}:{self.registry.port}"
        script = "\n".join(["set -e", f"cd {self.folder}", *commands]).replace(ADDRESS, here)
        shell = ["bash", "-c", script]
        return self.sandbox.run(*shell, environment=self.environment, expected_to_fail=expected_to_fail)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority and what it signed for the registry."""
    return make_certificates(tmp_path_factory.mktemp("certificates"), TLS_NAME)


@pytest.fixture(scope="module")
def tls_registry(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Generator[LiveRegistry, None, None]:
    """A registry that speaks TLS, where the sandbox's name for it leads."""
    arguments = ("--listen", "[::1]:0", *certificates.flags())
    with running_registry(tmp_path_factory.mktemp("tls"), *arguments) as registry:
        yield registry


@pytest.fixture
def tls_admin(tls_registry: LiveRegistry, certificates: Certificates) -> Generator[httpx.Client, None, None]:
    """Plain requests to that registry, as its admin."""
    context = ssl.create_default_context(cafile=certificates.authority)
    credentials = (ADMIN, tls_registry.admin_password)
    with httpx.Client(base_url=tls_registry.url, auth=credentials, verify=context) as client:
        yield client


@pytest.fixture
def desk(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    tls_registry: LiveRegistry,
    certificates: Certificates,
    small_image: Layout,
    tmp_path: Path,
) -> Generator[Desk, None, None]:
    """Where somebody types the commands about the client that the test is about."""
    client = request.getfixturevalue("client")
    home = tmp_path / "home"
    for file in (home / ".docker", home / "guess", home / ".config" / "helm" / "registry"):
        keep_logins_in(file / "config.json")
    (tmp_path / "ca.crt").write_bytes(certificates.authority.read_bytes())
    (tmp_path / "password").write_text(tls_registry.admin_password, encoding="utf-8")
    for name in ("data.txt", "note.txt"):
        (tmp_path / name).write_text(secrets.token_hex(), encoding="utf-8")
    path = f"{tools_folder() / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": path}
    forget = []
    if client == "docker":
        docker = Docker(request.getfixturevalue("dockerd"), home / ".docker")
        docker("tag", docker.load(small_image), "app")
        environment["DOCKER_HOST"] = f"unix://{docker.socket}"
        forget = ["docker rmi --force $(docker images --quiet)"]
    elif client in {"podman", "buildah"}:
        podman = Podman(sandbox, tmp_path / "podman")
        podman("tag", podman.load(small_image), "app")
        forget = ["podman rmi --all --force"]
    elif client == "ctr":
        ctr = Ctr(request.getfixturevalue("containerd"))
        ctr("images", "import", "--no-unpack", "--base-name", "app", small_image.archive())
        ctr("images", "tag", "app:latest", "app")
        ctr("images", "rm", "app:latest")
        environment["CONTAINERD_ADDRESS"] = str(ctr.socket)
        forget = ["ctr images rm --sync $(ctr images ls --quiet)"]
    elif client == "helm":
        run_program([find_program("helm"), "create", tmp_path / "chart"], environment=environment)
    else:
        run_program(["cp", "--recursive", small_image.path, tmp_path / "app"])
    made = Desk(sandbox, tmp_path, tls_registry, environment)
    yield made
    made.type([*forget, "rm -rf /etc/docker/certs.d /etc/containers/certs.d"])


def came_back(client: str, desk: Desk, image: Layout) -> bool:
    """Whether the client has what the page lets it pull: byte by byte where that lies in a folder."""
    back = desk.folder / "back"
    match client:
        case "skopeo" | "crane":
            return Layout(back, image.digest).blobs() == image.blobs()
        case "oras":
            return (back / "data.txt").read_bytes() == (desk.folder / "data.txt").read_bytes()
        case "helm":
            return (back / "chart-0.1.0.tgz").read_bytes() == (desk.folder / "chart-0.1.0.tgz").read_bytes()
        case "ctr":
            return image.digest in desk.type([f"ctr images ls name=={ADDRESS}/team/app:1"])
        case _:
            return "1" in desk.type([f"{client} images --quiet {ADDRESS}/team/app:1 | wc --lines"]).split()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_commands_of_the_page_work(client: str, desk: Desk, tls_admin: httpx.Client, small_image: Layout) -> None:
    """The client refuses without the authority's certificate, and a wrong password; then all commands succeed."""
    section = read_section(PAGES["clients.md"], client)
    contact = section.until_contact(client)
    distrusting = [command.replace("--ca-file ca.crt ", "").replace("--hosts-dir hosts ", "") for command in contact]
    guessing = dataclasses.replace(
        desk, environment={**desk.environment, "DOCKER_CONFIG": str(desk.folder / "home" / "guess")}
    )
    name = "chart" if client == "helm" else "app"
    tag = "0.1.0" if client == "helm" else "1"
    manifest = f"/v2/team/{name}/manifests/{tag}"

    untrusted = desk.type(distrusting, expected_to_fail=True)
    password = desk.folder / "password"
    right = password.read_text(encoding="utf-8")
    password.write_text("not-the-password", encoding="utf-8")
    refused = guessing.type([*section.trust, *contact], expected_to_fail=True)
    password.write_text(right, encoding="utf-8")
    desk.type([*section.trust, *section.use])
    pushed = tls_admin.get(manifest, headers={"Accept": "*/*"})
    desk.type([*section.trust[-1:], *section.delete])

    assert came_back(client, desk, small_image)
    assert UNTRUSTED.search(untrusted)
    assert REFUSED.search(refused)
    assert pushed.status_code == httpx.codes.OK
    assert tls_admin.get(manifest).status_code == httpx.codes.NOT_FOUND


def test_the_page_is_about_every_client() -> None:
    """Each client that is tested has a section, in both languages with the same commands."""
    english, chinese = (page.read_text(encoding="utf-8") for page in PAGES.values())

    sections = re.findall(r"^## ([a-z]+)$", english, re.MULTILINE)

    assert sections == list(CLIENTS)
    assert re.findall(r"^## ([a-z]+)$", chinese, re.MULTILINE) == sections
    assert BLOCK.findall(chinese) == BLOCK.findall(english)
