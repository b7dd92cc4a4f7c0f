"""Clients that log in with the certificate of their connection."""

import ssl
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from harness.administration import Administration
from harness.certificates import Certificates, ClientCertificates, make_certificates
from harness.protocol import Repository
from harness.registry import LiveRegistry, running_registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where certificates lie."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def server(folder: Path) -> Certificates:
    """What the server shows."""
    return make_certificates(folder, "localhost")


@pytest.fixture(scope="module")
def clients(folder: Path) -> ClientCertificates:
    """Whom the server believes."""
    return ClientCertificates.make(folder / "clients")


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, server: Certificates, clients: ClientCertificates
) -> Generator[LiveRegistry, None, None]:
    """A registry that takes client certificates, with two workers, and nobody may do anything without a binding."""
    flags = (*server.flags(), "--tls-client-ca", str(clients.authority), "--workers", "2")
    with running_registry(tmp_path_factory.mktemp("mtls"), *flags, "--anonymous", "none") as started:
        yield started


@pytest.fixture(scope="module")
def admin(registry: LiveRegistry, server: Certificates) -> Administration:
    """Administration of its data; there is an image ``team/app:v1``."""
    context = ssl.create_default_context(cafile=server.authority)
    with httpx.Client(base_url=registry.url, auth=("admin", registry.admin_password), verify=context) as root:
        Repository(root, "team/app").push_image()
    return Administration(registry.data)


class Client:
    """Requests on new connections with a certificate, or without."""

    def __init__(self, registry: LiveRegistry, server: Certificates, pair: tuple[str, str] | None = None) -> None:
        self._url = registry.url
        self._context = ssl.create_default_context(cafile=server.authority)
        if pair is not None:
            self._context.load_cert_chain(*pair)

    def __call__(
        self,
        path: str,
        method: str = "GET",
        auth: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One answer."""
        with httpx.Client(base_url=self._url, verify=self._context, auth=auth, timeout=30) as client:
            return client.request(method, path, headers=headers)


def reason(answer: httpx.Response) -> object:
    """Why it was refused."""
    return answer.json()["errors"][0]["detail"]["reason"]


PULL = "/v2/team/app/manifests/v1"


def test_a_certificate_logs_a_robot_in(
    registry: LiveRegistry, server: Certificates, clients: ClientCertificates, admin: Administration
) -> None:
    """Its account's rights count, at content, at the token endpoint and at the management API, until it is disabled."""
    admin.robot("node-1", "reader", "team/**")
    node = Client(registry, server, clients.issue("node-1"))
    assert node(PULL).status_code == 200
    assert node("/v2/team/app/blobs/uploads/", "POST").status_code == 403
    token = node("/token?scope=repository:team/app:pull").json()["token"]
    plain = Client(registry, server)
    assert plain(PULL, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert node("/api/v1/whoami").json()["name"] == "node-1"
    admin("robot", "disable", "node-1")
    for _ in range(6):
        assert reason(node(PULL)) == "disabled"


def test_who_is_not_known_gets_nothing(
    registry: LiveRegistry, server: Certificates, clients: ClientCertificates, admin: Administration
) -> None:
    """A name without an account is refused and told so; it is never somebody else, nor anonymous."""
    for pair in (clients.issue("nobody-here"), clients.issue(" admin"), clients.issue("*")):
        answer = Client(registry, server, pair)(PULL)
        assert answer.status_code == 401
        assert reason(answer) == "certificate"


def test_credentials_of_the_request_go_before(
    registry: LiveRegistry, server: Certificates, clients: ClientCertificates, admin: Administration
) -> None:
    """Who sends a password is who that says, with whatever certificate; a wrong one is not mended by it."""
    admin.robot("node-2", "reader", "team/**")
    admin.user("bea", "password of bea")
    node = Client(registry, server, clients.issue("node-2"))
    assert node("/api/v1/whoami", auth=("bea", "password of bea")).json()["name"] == "bea"
    assert node(PULL, auth=("bea", "wrong")).status_code == 401


def test_without_a_certificate_it_is_as_ever(
    registry: LiveRegistry, server: Certificates, admin: Administration
) -> None:
    """None is needed, and headers of one mean nothing."""
    plain = Client(registry, server)
    assert reason(plain(PULL)) == "anonymous"
    assert plain(PULL, auth=("admin", registry.admin_password)).status_code == 200
    forged = {"X-Client-Cert": "node-1", "X-SSL-Client-S-DN": "CN=admin", "X-Forwarded-Client-Cert": "Subject=CN=admin"}
    assert reason(plain(PULL, headers=forged)) == "anonymous"


def test_an_authority_that_is_not_believed(
    tmp_path: Path, registry: LiveRegistry, server: Certificates, admin: Administration
) -> None:
    """The handshake ends, before any request."""
    others = ClientCertificates.make(tmp_path / "others")
    with pytest.raises(httpx.HTTPError):
        Client(registry, server, others.issue("admin"))(PULL)


def test_a_certificate_that_every_client_needs(
    tmp_path: Path, server: Certificates, clients: ClientCertificates
) -> None:
    """With ``tls.client_required`` nobody else connects; names can be alternative ones, such as a workload's URI."""
    environment = {"ENTREPOT_TLS__CLIENT_REQUIRED": "true", "ENTREPOT_TLS__CLIENT_IDENTITY": "uri"}
    flags = (*server.flags(), "--tls-client-ca", str(clients.authority))
    with running_registry(tmp_path, *flags, environment=environment) as registry:
        with pytest.raises(httpx.HTTPError):
            Client(registry, server)("/v2/")
        Administration(registry.data)("robot", "create", "spiffe", "--role", "reader", "--repositories", "**")
        named = clients.issue("admin", x509.UniformResourceIdentifier("spiffe"))
        assert Client(registry, server, named)("/api/v1/whoami").json()["name"] == "spiffe"
        several = clients.issue("x", *(x509.UniformResourceIdentifier(name) for name in ("spiffe", "admin")))
        assert Client(registry, server, several)("/api/v1/whoami").status_code == 401
