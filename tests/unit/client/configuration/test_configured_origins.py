"""What several files say of one registry."""

from pathlib import Path

import pytest

from entrepot.client.configuration import ConfigurationPlaces, ConfiguredOrigins
from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.given_origins import GivenOrigins
from entrepot.client.origins import Origin, Route, Scheme


class Machine:
    """A machine with a user, who have no files yet."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.home = folder / "etc", folder / "home"
        self.places = ConfigurationPlaces.of({"HOME": str(self.home)}, self.etc)

    def write(self, name: str, content: str) -> Path:
        """A file in the machine's folder, in the user's if it begins with ``~``."""
        path = self.home / name[2:] if name.startswith("~/") else self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    async def route(self, registry: str, repository: str = "team/app") -> Route:
        """The route that its files make."""
        return await ConfiguredOrigins(self.places).find(registry, repository)

    async def origin(self, registry: str) -> Origin:
        """The registry that its files describe."""
        return (await self.route(registry)).origin


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine."""
    return Machine(tmp_path)


async def test_nothing_is_said(machine: Machine) -> None:
    """TLS and the system's authorities, found nowhere."""
    assert await machine.origin("registry.example") == Origin("registry.example", Scheme.HTTPS, "registry.example", 443)


@pytest.mark.parametrize(
    ("verify", "scheme", "is_verified"),
    [("", Scheme.EITHER, False), ("verify = true", Scheme.HTTPS, True), ("verify = false", Scheme.EITHER, False)],
)
async def test_the_own_file_before_registries_conf(
    machine: Machine, verify: str, scheme: Scheme, is_verified: bool
) -> None:
    """Who says in client.toml that a registry is verified gets that, whatever others have been told."""
    machine.write("containers/registries.conf", '[[registry]]\nlocation = "registry.example"\ninsecure = true\n')
    machine.write("entrepot/client.toml", f'[registries."registry.example"]\n{verify}\n')
    origin = await machine.origin("registry.example")
    assert (origin.scheme, origin.tls.verify) == (scheme, is_verified)


async def test_authorities_of_all_are_trusted(machine: Machine) -> None:
    """And each file is told with what it gave."""
    docker = machine.write("docker/certs.d/registry.example/ca.crt", "")
    hosts = machine.write("containerd/certs.d/registry.example/hosts.toml", 'server = "registry.example"\nca = "c.pem"')
    own = machine.write("~/.config/entrepot/client.toml", '[registries."registry.example"]\nca = "o.pem"\n')
    origin = await machine.origin("registry.example")
    assert set(origin.tls.authorities) == {docker, hosts.with_name("c.pem"), own.with_name("o.pem")}
    assert origin.found_in == (
        f"{hosts} (server, authority)",
        f"{docker} (authority)",
        f"{own}, registries.registry.example",
    )


async def test_whoever_trusts_somebody_means_tls(machine: Machine) -> None:
    """An authority for a registry on this machine takes away that plain HTTP would do."""
    assert (await machine.origin("localhost:5000")).scheme is Scheme.EITHER
    machine.write("docker/certs.d/localhost:5000/ca.crt", "")
    assert (await machine.origin("localhost:5000")).scheme is Scheme.HTTPS


async def test_what_is_said_of_a_mirror(machine: Machine) -> None:
    """Its own certificates and its own insecurity, not those of the registry that it mirrors."""
    machine.write(
        "containers/registries.conf",
        '[[registry]]\nlocation = "registry.example"\ninsecure = true\n'
        '[[registry.mirror]]\nlocation = "m.example:5000/all"\n'
        '[[registry.mirror]]\nlocation = "n.example"\npull-from-mirror = "tag-only"\ninsecure = true\n',
    )
    authority = machine.write("containers/certs.d/m.example:5000/ca.crt", "")
    machine.write("containers/certs.d/registry.example/client.cert", "")
    machine.write("containers/certs.d/registry.example/client.key", "")
    machine.write("entrepot/client.toml", '[registries."m.example:5000"]\naddress = "192.0.2.7"\n')
    first, second = (await machine.route("registry.example")).mirrors
    assert (first.repository, first.origin.tls.verify, first.origin.scheme) == ("all/team/app", True, Scheme.HTTPS)
    assert first.origin.tls.authorities == (authority,)
    assert first.origin.tls.certificate is None
    assert first.origin.address == "192.0.2.7"
    assert (second.tags, second.digests, second.tagged) == (True, False, True)
    assert (second.origin.scheme, second.origin.tls.verify) == (Scheme.EITHER, False)


async def test_a_location_is_for_pulls(machine: Machine) -> None:
    """What is pulled comes from there, with its certificates; what is pushed goes where the name says."""
    machine.write(
        "containers/registries.conf", '[[registry]]\nprefix = "registry.example/team"\nlocation = "inner.example/all"\n'
    )
    authority = machine.write("docker/certs.d/inner.example/ca.crt", "")
    route = await machine.route("registry.example")
    assert (route.origin.registry, route.repository) == ("registry.example", "team/app")
    assert route.origin.tls.authorities == ()
    pulls = route.for_pulls()
    assert (pulls.origin.registry, pulls.repository) == ("inner.example", "all/app")
    assert pulls.origin.tls.authorities == (authority,)
    assert (await machine.route("registry.example", "other/app")).for_pulls().origin.registry == "registry.example"


async def test_credentials_stay_with_their_host(machine: Machine) -> None:
    """A server that stands for all registries is asked for pulls, with its own credentials, and told for whom."""
    machine.write("containerd/certs.d/_default/hosts.toml", 'server = "https://cache.example"\n')
    route = await machine.route("registry.example")
    assert route.origin.host == "registry.example"
    pulls = route.for_pulls()
    assert (pulls.origin.registry, pulls.namespace) == ("cache.example", "registry.example")
    hub = "containerd/certs.d/docker.io/hosts.toml"
    machine.write(hub, 'server = "https://registry-1.docker.io"\n')
    route = await machine.route("docker.io")
    assert (route.origin.registry, route.for_pulls().namespace) == ("docker.io", None)


async def test_mirrors_of_all_files_in_order(machine: Machine) -> None:
    """First our own, then podman's, then containerd's."""
    machine.write("entrepot/client.toml", '[[registries."r.example".mirrors]]\nlocation = "a.example"\n')
    machine.write(
        "containers/registries.conf",
        '[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\nlocation = "b.example"\n',
    )
    machine.write("containerd/certs.d/r.example/hosts.toml", '[host."https://c.example"]\ncapabilities = ["pull"]\n')
    mirrors = (await machine.route("r.example")).mirrors
    assert [one.origin.registry for one in mirrors] == ["a.example", "b.example", "c.example"]
    assert [one.tags for one in mirrors] == [False, True, False]


@pytest.mark.parametrize("location", ["https://m.example", "../x", "m.example:99999", "a b"])
async def test_a_location_that_is_none(machine: Machine, location: str) -> None:
    """Is told with its file before anything is asked."""
    content = f'[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\nlocation = "{location}"\n'
    file = machine.write("containers/registries.conf", content)
    with pytest.raises(ConfigurationInvalid) as raised:
        await machine.route("r.example")
    assert raised.value.subject.startswith(f"{file}: ")


async def test_no_proxy_at_all(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What our own file has without a proxy has none, though docker and the environment name some."""
    machine.write("~/.docker/config.json", '{"proxies": {"default": {"httpsProxy": "http://p.example:1"}}}')
    machine.write("entrepot/client.toml", '[registries."r.example"]\nproxy = ""\n')
    monkeypatch.setenv("HTTPS_PROXY", "http://p.example:2")
    given = GivenOrigins(configured=ConfiguredOrigins(machine.places))
    assert (await given.find("r.example", "app")).origin.proxy is None
    assert (await given.find("s.example", "app")).origin.proxy == "http://p.example:2"


async def test_a_proxy_that_cannot_be_used(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told with its file, without the password in it."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    machine.write("~/.docker/config.json", '{"proxies": {"default": {"httpsProxy": "socks5://u:secret@p.example:1"}}}')
    with pytest.raises(ConfigurationInvalid) as raised:
        await machine.route("r.example")
    assert "proxies.default" in raised.value.subject
    assert "secret" not in "".join(raised.value.lines())
