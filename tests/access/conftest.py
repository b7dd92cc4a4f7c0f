"""What the tests of identity providers share."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from entrepot.access import Secret
from entrepot.access.providers import (
    AuthorizationRequest,
    ExternalIdentity,
    OpenIdProvider,
    OpenIdRegistration,
    TrustedIssuer,
    WorkloadIssuers,
)
from entrepot.metadata import Database, open_database, upgrade
from harness.openid_provider import REDIRECT_URI
from harness.scripted_issuer import TOKEN, Reply, ScriptedIssuer, running_scripted_issuer

AUDIENCE = "entrepot"


class Clocks:
    """Time that passes when a test says so, for what is remembered."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds since nothing in particular."""
        return self.now


class ForgedLogin:
    """A login by code flow at an issuer whose token endpoint answers with what a test forged."""

    def __init__(self, issuer: ScriptedIssuer, provider: OpenIdProvider, request: AuthorizationRequest) -> None:
        self.issuer = issuer
        self.nonce = request.nonce
        self._provider = provider
        self._request = request

    async def __call__(self, id_token: str) -> ExternalIdentity:
        """Finish the login with this ID token."""
        body = f'{{"id_token": "{id_token}", "access_token": "opaque", "token_type": "Bearer"}}'
        self.issuer.replies[TOKEN] = Reply(body.encode())
        return await self._provider.finish(Secret("code"), self._request)


@pytest.fixture
def clocks() -> Clocks:
    """A clock that stands still until a test moves it."""
    return Clocks()


@pytest.fixture
def issuer() -> Generator[ScriptedIssuer, None, None]:
    """An issuer that answers what the test tells it to."""
    with running_scripted_issuer() as scripted:
        yield scripted


@pytest.fixture
async def forged_login(issuer: ScriptedIssuer) -> AsyncGenerator[ForgedLogin, None]:
    """A login that was begun at the issuer."""
    provider = OpenIdProvider(OpenIdRegistration(issuer.issuer, AUDIENCE))
    yield ForgedLogin(issuer, provider, await provider.begin(REDIRECT_URI))
    await provider.close()


@pytest.fixture
async def workloads(issuer: ScriptedIssuer, clocks: Clocks) -> AsyncGenerator[WorkloadIssuers, None]:
    """Workloads of the issuer, whose tokens have to be for this registry."""
    issuers = WorkloadIssuers([TrustedIssuer(issuer.issuer, AUDIENCE)], monotonic=clocks)
    yield issuers
    await issuers.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    """An empty SQLite database."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    opened = open_database(url)
    yield opened
    await opened.close()
