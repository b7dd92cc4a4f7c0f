"""The data of one registry, on which one server after another is started."""

import contextlib
import secrets
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from crashes.client import SECONDS_AT_MOST, Client
from crashes.ledger import Ledger
from crashes.survey import check_answered, check_rows, check_whole
from harness.registry import ADMIN, ENTREPOT, LiveRegistry, running_registry


@dataclass(frozen=True)
class Site:
    """A folder with a data directory in it, and a database, which is SQLite's in that directory if none is given."""

    folder: Path
    postgresql: str | None
    password: str

    @property
    def database(self) -> str:
        """The address of the database."""
        return self.postgresql or f"sqlite:///{self.folder / 'data' / 'entrepot.db'}"

    @contextlib.contextmanager
    def served(
        self, *arguments: str, program: Sequence[str] = ENTREPOT, **environment: str
    ) -> Generator[LiveRegistry, None, None]:
        """A server of this data while the block runs: `entrepot serve`, unless another program is named."""
        variables = {**environment, **({"ENTREPOT_DATABASE": self.postgresql} if self.postgresql else {})}
        with running_registry(
            self.folder, *arguments, environment=variables, admin_password=self.password, program=program
        ) as registry:
            yield registry

    def http(self, registry: LiveRegistry) -> httpx.Client:
        """Requests as the admin."""
        return httpx.Client(base_url=registry.url, auth=(ADMIN, self.password), timeout=SECONDS_AT_MOST)

    def survey(self, http: httpx.Client, ledgers: Iterable[Ledger], *, after_power_cut: bool = False) -> None:
        """Check all that a crash must leave behind."""
        known = list(ledgers)
        for ledger in known:
            check_answered(http, ledger)
        check_whole(http, known)
        # A deletion of bytes is not flushed: without power it may not have been.
        check_rows(self.database, self.folder / "data" / "store", is_closed=not after_power_cut)


def new_site(folder: Path, postgresql: str | None) -> Site:
    """A site with nothing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    return Site(folder, postgresql, secrets.token_urlsafe(16))


def new_client(http: httpx.Client, repository: str) -> Client:
    """A client with an empty ledger."""
    return Client(http, repository, Ledger())
