"""The fixtures that every test has; pytest loads this module as a plugin."""

import contextlib
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Literal

import pytest

from harness.openid_provider import OpenIdServer, running_openid_provider
from harness.postgresql import PostgresqlServer, running_postgresql
from harness.registry import LiveRegistry, running_registry
from harness.slapd import Slapd, running_slapd

Database = Literal["sqlite", "postgresql"]


class StartRegistry:
    """Starts registries that run until the end of the scope that this belongs to."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path, fresh_database: Callable[[], str]) -> None:
        """``fresh_database`` makes a PostgreSQL database and returns its URL."""
        self.started: list[LiveRegistry] = []
        self._stack = stack
        self._folder = folder
        self._fresh_database = fresh_database

    def __call__(
        self,
        *arguments: str,
        database: Database = "sqlite",
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> LiveRegistry:
        """Start `entrepot serve` with these further arguments, and wait until it is ready.

        ``folder`` is where data, log and password lie: a new one unless one is given to be used again.
        """
        variables = dict(environment or {})
        if database == "postgresql":
            variables["ENTREPOT_DATABASE"] = self._fresh_database()
        where = folder or self._folder / f"registry-{len(self.started)}"
        registry = self._stack.enter_context(running_registry(where, *arguments, environment=variables))
        self.started.append(registry)
        return registry


@pytest.fixture(scope="session")
def postgresql() -> Generator[PostgresqlServer, None, None]:
    """A PostgreSQL cluster of this test process, started when the first test asks for it."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def openid_provider() -> Generator[OpenIdServer, None, None]:
    """A certified OpenID provider over HTTP on loopback; who stops it or rotates its keys starts another."""
    with running_openid_provider() as server:
        yield server


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Generator[Slapd, None, None]:
    """An LDAP directory over plain LDAP, StartTLS and TLS; tests add people and groups of their own names."""
    with running_slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server


@pytest.fixture
def live_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[StartRegistry, None, None]:
    """Starts registries that run as users run them, until the test ends; when it fails their logs are shown."""

    def fresh_database() -> str:
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        return server.fresh_database()

    with contextlib.ExitStack() as stack:
        yield StartRegistry(stack, tmp_path, fresh_database)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the registries of a failed test wrote last."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            registries = value.started if isinstance(value, StartRegistry) else [value]
            for registry in registries:
                if isinstance(registry, LiveRegistry):
                    report.sections.append((f"entrepot serve at {registry.address}", registry.log_tail()))
    return report
