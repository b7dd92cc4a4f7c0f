"""Certificates, mirrors and addresses as podman, docker, containerd and this client have them in files."""

import asyncio
import base64
import json
import os
import re
import shutil
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from bench import registries
from client.conftest import Peer
from client.counting_proxy import counting_proxy
from client.forwarding_proxy import forwarding_proxy
from client.layouts import MadeLayout, blobs_of, signed_index
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from entrepot.client.client import Client
from entrepot.client.configuration import ConfigurationPlaces, ConfiguredOrigins
from entrepot.client.errors import ConfigurationInvalid, LoginRequired, OriginBlocked, TLSFailure
from entrepot.client.given_origins import GivenOrigins
from entrepot.client.targets.registry.saved_uploads import SavedUploads
from harness.administration import Administration
from harness.certificates import Certificates, ClientCertificates, make_certificates
from harness.programs import find_program, run_program
from harness.registry import LiveRegistry, running_registry

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs").glob("client.*md"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that no system knows."""
    return make_certificates(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Generator[LiveRegistry, None, None]:
    """A registry with a certificate of this authority, open to everybody."""
    folder = tmp_path_factory.mktemp("secured")
    with running_registry(folder, *certificates.flags(), "--anonymous", "push") as registry:
        yield registry


@pytest.fixture
def places(tmp_path: Path) -> ConfigurationPlaces:
    """The files of somebody, and of a machine, that has none yet."""
    return ConfigurationPlaces.of({"HOME": str(tmp_path / "home")}, tmp_path / "etc")


def client_of(places: ConfigurationPlaces, state: Path) -> Client:
    """A client that goes by these files."""
    origins = GivenOrigins(configured=ConfiguredOrigins(places))
    return Client(origins=origins, saved_uploads=SavedUploads(state))


def written(path: Path, content: str) -> Path:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def pushed(folder: Path, shell: Shell, name: str, *layers: int) -> MadeLayout:
    """An image that is in a registry."""
    made = MadeLayout(folder)
    made.write(v1=made.image(*(layers or (100,))))
    ended = shell.run("push", f"oci:{made.folder}:v1", name, "--progress", "none")
    assert ended.returncode == 0, ended.stderr
    return made


TRUSTING = {
    "podman, user": "home/.config/containers/certs.d/{host}/ca.crt",
    "podman": "etc/containers/certs.d/{host}/ca.crt",
    "docker": "etc/docker/certs.d/{host}/ca.crt",
    "containerd, folder": "etc/containerd/certs.d/{host}/ca.crt",
    "containerd": "etc/containerd/certs.d/localhost_{port}_/hosts.toml",
    "containerd, all": "home/.config/containerd/certs.d/_default/hosts.toml",
    "own": "etc/entrepot/client.toml",
}


@pytest.mark.parametrize("tool", TRUSTING)
async def test_a_private_authority_is_trusted(
    tool: str, secured: LiveRegistry, certificates: Certificates, places: ConfigurationPlaces, tmp_path: Path
) -> None:
    """Wherever any of the tools has it; without, nothing is sent to a registry that nobody vouches for."""
    host = f"localhost:{secured.port}"
    async with client_of(places, tmp_path / "state") as client:
        with pytest.raises(TLSFailure):
            await client.tags(f"{host}/team/app")
    path = tmp_path / TRUSTING[tool].format(host=host, port=secured.port)
    authority = certificates.authority.read_text(encoding="utf-8")
    if path.name == "hosts.toml":
        written(path.with_name("authority.pem"), authority)
        written(path, f'server = "https://{host}"\nca = "authority.pem"\n')
    elif path.name == "client.toml":
        written(path.with_name("authority.pem"), authority)
        written(path, f'[registries."{host}"]\nca = "authority.pem"\n')
    else:
        written(path, authority)
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    async with client_of(places, tmp_path / "state") as client:
        await client.copy(f"oci:{made.folder}:v1", f"{host}/team/app:v1")
        route = await client.route(f"{host}/team/app")
        assert any(str(path.parent) in place for place in route.origin.found_in)


async def test_a_certificate_without_its_key(places: ConfigurationPlaces, tmp_path: Path) -> None:
    """Is named; with it, it is shown to the registry."""
    folder = tmp_path / "etc" / "docker" / "certs.d" / "registry.example:5000"
    certificate = written(folder / "client.cert", "")
    async with client_of(places, tmp_path / "state") as client:
        with pytest.raises(ConfigurationInvalid, match=r"client\.key"):
            await client.route("registry.example:5000/app")
    key = written(folder / "client.key", "")
    async with client_of(places, tmp_path / "state") as client:
        tls = (await client.route("registry.example:5000/app")).origin.tls
        assert (tls.certificate, tls.key) == (certificate, key)
        assert (await client.route("registry.example/app")).origin.tls.certificate is None


@pytest.mark.parametrize("tree", ["~/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"])
def test_podman_reads_the_same_certificates(
    secured: LiveRegistry, certificates: Certificates, shell: Shell, tmp_path: Path, tree: str
) -> None:
    """Each folder, of the user and of the machine, by skopeo and by this client."""
    host = f"localhost:{secured.port}"
    folder = Path(tree.replace("~", str(shell.home))) / host
    assert not folder.exists()
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    name = f"{host}/team/podman:v1"
    assert shell.run("push", f"oci:{made.folder}:v1", name).returncode == ExitCode.NETWORK
    try:
        folder.mkdir(parents=True)
        shutil.copyfile(certificates.authority, folder / "ca.crt")
        ended = shell.run("push", f"oci:{made.folder}:v1", name)
        assert ended.returncode == 0, ended.stderr
        environment = {**os.environ, **shell.variables}
        raw = run_program([find_program("skopeo"), "inspect", "--raw", f"docker://{name}"], environment=environment)
        assert raw == shell.run("manifest", name).stdout
        assert f"{folder / 'ca.crt'} (authority)" in shell.run("origins", name).stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)


MIRRORED = """
[[registry]]
prefix = "{named}/team"
location = "{registry}/team"
insecure = true
[[registry.mirror]]
location = "{mirror}/team"
insecure = true
{more}
"""


def test_mirrors_are_asked_first_and_pushed_to_never(
    ours: Peer, ours_with_login: Peer, shell: Shell, tmp_path: Path
) -> None:
    """Skopeo and this client go by the same registries.conf; a push goes to the registry that is named."""
    name = ours.fresh().partition("/team/")[2]
    here = pushed(tmp_path / "here", shell, f"{ours.address}/team/{name}:v1", 3_000_000)
    with counting_proxy(ours.address) as mirror, counting_proxy(ours.address) as registry:
        named = f"registry.example:{ours.address.rpartition(':')[2]}"
        addresses = {"named": named, "mirror": f"127.0.0.1:{mirror.port}", "registry": f"127.0.0.1:{registry.port}"}
        file = written(tmp_path / "registries.conf", MIRRORED.format(**addresses, more=""))
        environment = {"CONTAINERS_REGISTRIES_CONF": str(file)}
        image = f"{named}/team/{name}:v1"
        skopeo: list[str | Path] = [find_program("skopeo"), "--registries-conf", file]
        run_program([*skopeo, "copy", f"docker://{image}", f"dir:{tmp_path / 'dir'}"])
        by_skopeo = mirror.received
        assert by_skopeo > 3_000_000
        pulled = shell.run("pull", image, tmp_path / "back", environment=environment)
        assert pulled.returncode == 0, pulled.stderr
        assert mirror.received - by_skopeo > 3_000_000
        assert registry.received < 100_000
        assert blobs_of(tmp_path / "back") == set(here.digests)
        before = registry.sent + mirror.sent
        new = MadeLayout(tmp_path / "new")
        new.write(v2=new.image(2_000_000))
        resolve = ("--resolve", f"{named}:127.0.0.1")
        target = f"{named}/team/{name}:v2"
        ended = shell.run("push", f"oci:{new.folder}:v2", target, *resolve, environment=environment)
        assert ended.returncode == 0, ended.stderr
        assert registry.sent + mirror.sent == before
        assert "v2" in shell.run("tags", f"{ours.address}/team/{name}").stdout.split()
        told = json.loads(shell.run("origins", image, "--output", "json", environment=environment).stdout)
        assert [one["server"] for one in told] == [addresses["mirror"], addresses["registry"], named]
        assert [one["asked for"] for one in told][1:] == ["pulls", "pushes"]
        assert all(str(file) in one["found in"][0] for one in told)


def test_a_mirror_that_is_down(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """The registry is asked in its place."""
    name = ours.fresh().partition("/team/")[2]
    here = pushed(tmp_path / "here", shell, f"{ours.address}/team/{name}:v1", 2_000_000)
    content = MIRRORED.format(
        named="registry.example", mirror="127.0.0.1:1", registry=ours.address, more='pull-from-mirror = "digest-only"'
    )
    file = written(tmp_path / "registries.conf", content)
    pulled = shell.run(
        "pull",
        f"registry.example/team/{name}:v1",
        tmp_path / "back",
        environment={"CONTAINERS_REGISTRIES_CONF": str(file)},
    )
    assert pulled.returncode == 0, pulled.stderr
    assert blobs_of(tmp_path / "back") == set(here.digests)


def test_a_mirror_in_place_of_a_registry_that_is_gone(ours_with_login: Peer, shell: Shell, tmp_path: Path) -> None:
    """A mirror under another name, with its own login, has all of an image; the registry's failure hinders nobody."""
    made, _ = signed_index(tmp_path / "made")
    name = ours_with_login.fresh()
    assert shell.run("push", f"oci:{made.folder}:v1", f"{name}:v1", login=True).returncode == 0
    content = '[[registry]]\nprefix = "registry.example/a/b"\nlocation = "registry.example/a/b"\n'
    content += f'[[registry.mirror]]\nlocation = "{name}"\ninsecure = true\n'
    file = written(tmp_path / "registries.conf", content)
    login = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode("ascii")
    written(
        tmp_path / "docker" / "config.json", json.dumps({"auths": {f"{ours_with_login.address}/team": {"auth": login}}})
    )
    environment = {"CONTAINERS_REGISTRIES_CONF": str(file)}
    pulled = shell.run("pull", "registry.example/a/b:v1", tmp_path / "back", environment=environment)
    assert pulled.returncode == 0, pulled.stderr
    assert blobs_of(tmp_path / "back") == set(made.digests)
    missing = shell.run("digest", "registry.example/a/b:v2", environment=environment)
    assert missing.returncode == ExitCode.NETWORK
    assert f"mirror {ours_with_login.address}: " in missing.stderr


def test_a_mirror_for_tags_alone(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """Has the content of what it says that a tag means, and is asked for nothing that has a digest."""
    name = ours.fresh()
    made = pushed(tmp_path / "here", shell, f"{name}:v1", 1000)
    content = '[[registry]]\nlocation = "registry.example/a/b"\n'
    content += f'[[registry.mirror]]\nlocation = "{name}"\npull-from-mirror = "tag-only"\n'
    file = written(tmp_path / "registries.conf", content)
    environment = {"CONTAINERS_REGISTRIES_CONF": str(file)}
    pulled = shell.run("pull", "registry.example/a/b:v1", tmp_path / "back", environment=environment)
    assert pulled.returncode == 0, pulled.stderr
    assert blobs_of(tmp_path / "back") == set(made.digests)
    by_digest = f"registry.example/a/b@{made.digests[-1]}"
    assert shell.run("manifest", by_digest, environment=environment).returncode == ExitCode.NETWORK


def test_insecure_is_also_a_certificate_of_anybody(secured: LiveRegistry, shell: Shell, tmp_path: Path) -> None:
    """A registry whose authority nobody knows is reached because registries.conf says so; by podman's tools as well."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(100))
    host = f"localhost:{secured.port}"
    file = written(tmp_path / "registries.conf", f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    environment = {"CONTAINERS_REGISTRIES_CONF": str(file)}
    assert shell.run("push", f"oci:{made.folder}:v1", f"{host}/team/any:v1").returncode == ExitCode.NETWORK
    ended = shell.run("push", f"oci:{made.folder}:v1", f"{host}/team/any:v1", environment=environment)
    assert ended.returncode == 0, ended.stderr
    skopeo: list[str | Path] = [find_program("skopeo"), "--registries-conf", file, "--insecure-policy"]
    raw = run_program([*skopeo, "inspect", "--raw", f"docker://{host}/team/any:v1"])
    assert raw == shell.run("manifest", f"{host}/team/any:v1", environment=environment).stdout


async def test_a_host_of_containerd_serves_many_registries(
    ours: Peer, shell: Shell, places: ConfigurationPlaces, tmp_path: Path
) -> None:
    """Beneath the path that it has, for what it may, with headers that are shown to nobody else."""
    name = ours.fresh().partition("/team/")[2]
    made = pushed(tmp_path / "here", shell, f"{ours.address}/team/hub/{name}:v1")
    written(
        tmp_path / "etc" / "containerd" / "certs.d" / "registry.example" / "hosts.toml",
        f"""
        server = "https://registry.example"
        [host."http://{ours.address}/v2/team/hub"]
        capabilities = ["pull", "resolve"]
        override_path = true
        [host."http://{ours.address}/v2/team/hub".header]
        x-key = ["a secret word"]
        [host."https://second.example:5000"]
        capabilities = ["pull"]
        """,
    )
    async with client_of(places, tmp_path / "state") as client:
        route = await client.route(f"registry.example/{name}:v1")
        first, second = route.mirrors
        assert (first.repository, first.namespace, first.tags) == (f"team/hub/{name}", "registry.example", True)
        assert (second.tags, second.digests, second.origin.authority) == (False, True, "second.example:5000")
        assert "a secret word" not in repr(route)
        assert str((await client.resolve(f"registry.example/{name}:v1")).digest) == made.digests[-1]


class _Bare(BaseHTTPRequestHandler):
    """A registry without /v2 in its paths, as some have it that are no registries in all; one manifest is there."""

    content = b'{"schemaVersion":2}'
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        """The manifest."""
        self.asked.append((self.path, self.headers.get("x-key")))
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)


def test_a_server_without_v2(shell: Shell, tmp_path: Path) -> None:
    """Is asked beneath the path that hosts.toml has for it, for whom it is, and with its header; it is not printed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bare)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        written(
            tmp_path / "config" / "containerd" / "certs.d" / "registry.example" / "hosts.toml",
            f"""
            [host."http://127.0.0.1:{server.server_port}/api"]
            capabilities = ["pull", "resolve"]
            override_path = true
            header = {{ x-key = "a secret word" }}
            """,
        )
        found = shell.run("manifest", "registry.example/team/app:v1")
        assert (found.returncode, found.stdout) == (0, _Bare.content.decode()), found.stderr
        assert _Bare.asked == [("/api/team/app/manifests/v1?ns=registry.example", "a secret word")]
        told = shell.run("origins", "registry.example/team/app")
        assert "x-key" in told.stdout
        assert "registry.example" in told.stdout
        assert "secret" not in told.stdout + told.stderr
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_client_certificate(certificates: Certificates, places: ConfigurationPlaces, tmp_path: Path) -> None:
    """Lies beside the authority, and is shown to the registry that asks for it."""
    clients = ClientCertificates.make(tmp_path / "clients")
    flags = (*certificates.flags(), "--tls-client-ca", str(clients.authority), "--anonymous", "none")
    with running_registry(tmp_path / "registry", *flags) as registry:
        host = f"localhost:{registry.port}"
        folder = tmp_path / "etc" / "docker" / "certs.d" / host
        written(folder / "ca.crt", certificates.authority.read_text(encoding="utf-8"))
        async with client_of(places, tmp_path / "state") as client:
            with pytest.raises(LoginRequired):
                await client.tags(f"{host}/team/app")
        await asyncio.to_thread(Administration(registry.data).robot, "node", "maintainer", "team/**")
        certificate, key = clients.issue("node")
        shutil.copyfile(certificate, folder / "node.cert")
        shutil.copyfile(key, folder / "node.key")
        made = MadeLayout(tmp_path / "made")
        made.write(v1=made.image(100))
        async with client_of(places, tmp_path / "state") as client:
            await client.copy(f"oci:{made.folder}:v1", f"{host}/team/app:v1")
            assert [str(tag) for tag in await client.tags(f"{host}/team/app")] == ["v1"]


def test_the_proxy_of_docker_is_used(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """A registry that only the proxy can reach is read through it, without TLS, as the proxy lets none through."""
    name = ours.fresh()
    made = pushed(tmp_path / "made", shell, f"{name}:v1")
    content = '[[registry]]\nlocation = "registry.example:5000"\ninsecure = true\n'
    environment = {"CONTAINERS_REGISTRIES_CONF": str(written(tmp_path / "registries.conf", content))}
    image = f"registry.example:5000/{name.partition('/')[2]}:v1"
    with forwarding_proxy(ours.address) as proxy:
        config = {"proxies": {"default": {"httpsProxy": proxy.url, "noProxy": "far.example"}}}
        written(tmp_path / "docker" / "config.json", json.dumps(config))
        pulled = shell.run("pull", image, tmp_path / "back", environment=environment)
        assert pulled.returncode == 0, pulled.stderr
        assert blobs_of(tmp_path / "back") == set(made.digests)
        assert any(url.startswith("http://registry.example:5000/v2/") for url in proxy.asked)
        closed = shell.run("digest", "other.example/team/app:v1", "--retries", "0")
        assert closed.returncode == ExitCode.NETWORK
        assert "the proxy answers 501" in closed.stderr


@pytest.mark.parametrize(
    ("text", "server", "repository"),
    [
        ("registry.example:5000", "registry.example:5000", ""),
        ("localhost:5000", "localhost:5000", ""),
        ("registry.example/team/app:v1", "registry.example:443", "team/app"),
        ("alpine:3", "registry-1.docker.io:443", "library/alpine"),
        ("alpine:3.19", "registry-1.docker.io:443", "library/alpine"),
    ],
)
def test_what_origins_is_asked_about(shell: Shell, text: str, server: str, repository: str) -> None:
    """An image, a repository, or a registry by its host; a tag is no port."""
    told = json.loads(shell.run("origins", text, "--output", "json").stdout)
    assert [(one["server"], one["repository"], one["asked for"]) for one in told] == [
        (server, repository, "everything")
    ]


def test_what_is_blocked(shell: Shell, tmp_path: Path) -> None:
    """Is not asked, by this client and by skopeo; the longest beginning of a name counts."""
    content = '[[registry]]\nprefix = "*.example"\nblocked = true\n[[registry]]\nlocation = "good.example/team"\n'
    file = written(tmp_path / "registries.conf", content)
    environment = {"CONTAINERS_REGISTRIES_CONF": str(file)}
    refused = shell.run("tags", "bad.example/team/app", environment=environment)
    assert refused.returncode == ExitCode.POLICY
    assert str(file) in refused.stderr
    told = run_program(
        [find_program("skopeo"), "--registries-conf", file, "inspect", "docker://bad.example/team/app"],
        expected_to_fail=True,
    )
    assert "blocked" in told
    assert shell.run("origins", "good.example/team/app", environment=environment).returncode == 0
    assert shell.run("origins", "good.example/other/app", environment=environment).returncode == ExitCode.POLICY


def test_a_registry_that_is_insecure(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """Is spoken to without TLS where it has none, because a file says so and never by itself."""
    port = ours.address.rpartition(":")[2]
    name = f"registry.example:{port}/{ours.fresh().partition('/')[2]}"
    resolve = ("--resolve", f"registry.example:{port}:127.0.0.1")
    refused = shell.run("tags", name, *resolve)
    assert refused.returncode == ExitCode.NETWORK
    assert "speaks plain HTTP" in refused.stderr
    file = written(
        tmp_path / "registries.conf", f'[[registry]]\nlocation = "registry.example:{port}"\ninsecure = true\n'
    )
    asked = shell.run("tags", name, *resolve, environment={"CONTAINERS_REGISTRIES_CONF": str(file)})
    assert asked.returncode == ExitCode.NOT_FOUND, asked.stderr


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("home/.config/entrepot/client.toml", "[registries.host]\nplain = true\n", "registries.host.plain"),
        ("home/.config/entrepot/client.toml", "[registries", "client.toml"),
        ("etc/containers/registries.conf", "[[registry]]\nlocation = 1\n", r"registry\[0\].location"),
        ("etc/containers/registries.conf.d/a.conf", "[[registry]]\ninsecure = true\n", r"registry\[0\]"),
        ("etc/containerd/certs.d/host.example/hosts.toml", '[host."ftp://x"]\n', "host.ftp://x"),
        (
            "etc/containerd/certs.d/host.example/hosts.toml",
            '[host."https://x"]\ncapabilities=["all"]\n',
            "capabilities",
        ),
        ("home/.docker/config.json", '{"proxies": [1]}', "proxies"),
    ],
)
async def test_what_cannot_be_used_is_named(
    file: str, content: str, said: str, places: ConfigurationPlaces, tmp_path: Path
) -> None:
    """By file and key; nothing is guessed."""
    written(tmp_path / file, content)
    async with client_of(places, tmp_path / "state") as client:
        with pytest.raises(ConfigurationInvalid, match=said) as raised:
            await client.route("host.example/team/app")
        assert str(tmp_path / file) in str(raised.value)


async def test_the_own_file_counts_more(places: ConfigurationPlaces, tmp_path: Path) -> None:
    """Than what others have been told, and the user's more than the machine's."""
    written(tmp_path / "etc/containers/registries.conf", '[[registry]]\nlocation = "host.example"\ninsecure = true\n')
    written(tmp_path / "etc/entrepot/client.toml", '[registries."host.example"]\naddress = "192.0.2.1"\n')
    async with client_of(places, tmp_path / "state") as client:
        assert (await client.route("host.example/app")).origin.address == "192.0.2.1"
    written(
        tmp_path / "home/.config/entrepot/client.toml",
        '[registries."host.example"]\nplain_http = true\nproxy = "http://proxy.example:3128"\n'
        '[[registries."host.example".mirrors]]\nlocation = "near.example/all"\n'
        '[registries."off.example"]\nblocked = true\n',
    )
    async with client_of(places, tmp_path / "state") as client:
        route = await client.route("host.example/app")
        assert (route.origin.scheme, route.origin.port, route.origin.address) == ("http", 80, None)
        assert route.origin.proxy == "http://proxy.example:3128"
        (mirror,) = route.mirrors
        assert (mirror.origin.registry, mirror.repository, mirror.tags) == ("near.example", "all/app", False)
        with pytest.raises(OriginBlocked):
            await client.route("off.example/app")


async def test_proxies_of_docker(places: ConfigurationPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names none; not for hosts that are excepted."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    default = {"httpsProxy": "http://proxy.example:3128", "noProxy": "near.example"}
    written(tmp_path / "home/.docker/config.json", json.dumps({"proxies": {"default": default}}))
    async with client_of(places, tmp_path / "state") as client:
        assert (await client.route("far.example/app")).origin.proxy == "http://proxy.example:3128"
        assert (await client.route("near.example/app")).origin.proxy is None
    monkeypatch.setenv("HTTPS_PROXY", "http://other.example:1")
    async with client_of(places, tmp_path / "state") as client:
        assert (await client.route("far.example/app")).origin.proxy == "http://other.example:1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_the_file_of_the_page(page: Path, places: ConfigurationPlaces, tmp_path: Path) -> None:
    """The client.toml that the documentation shows can be used as it stands."""
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    written(tmp_path / "home/.config/entrepot/client.toml", example)
    async with client_of(places, tmp_path / "state") as client:
        route = await client.route("registry.example.com:5000/team/app")
    assert route.origin.address == "192.0.2.1"
    assert [mirror.repository for mirror in route.mirrors] == ["all/team/app"]
