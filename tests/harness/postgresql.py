"""A PostgreSQL cluster of the tests' own, in a temporary folder, reached over 127.0.0.1 without a password."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from harness.ports import free_port
from harness.programs import find_program

ROLE = "entrepot"
START_ATTEMPTS = 3
STEP_SECONDS_AT_MOST = 60

# initdb and postgres refuse to run as root, so root's tests run them as the user that the package made.
UNPRIVILEGED_USER = "postgres"

# What is tested is the program's use of the database, not the disk under it; a fresh database is made several times
# faster like this.
CLUSTER_OPTIONS = "-c fsync=off -c full_page_writes=off -c max_connections=200"


@dataclass(frozen=True)
class PostgresqlServer:
    """A running cluster; every database in it goes when the tests end."""

    port: int
    _numbers: Any = field(default_factory=itertools.count, repr=False)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def fresh_database(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of ``template`` (nobody may be connected to that), and return its URL."""
        name = f"test_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database of ``fresh_database``, whoever is connected to it."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def running_postgresql() -> Generator[PostgresqlServer, None, None]:
    """Make a cluster, start it on a free port, and end and remove it afterwards."""
    initdb, pg_ctl = find_program("initdb"), find_program("pg_ctl")
    # Not pytest's own folder: that is closed to the user the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="entrepot-postgresql-"))
    data = folder / "data"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, UNPRIVILEGED_USER)
        _run(folder, initdb, "-D", data, "-A", "trust", "-U", ROLE, "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
        port = _start(pg_ctl, data, folder)
        try:
            yield PostgresqlServer(port)
        finally:
            _run(folder, pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(pg_ctl: Path, data: Path, folder: Path) -> int:
    """Start the cluster and return its port; another port is tried when one was taken meanwhile."""
    log = folder / "log"
    for attempt in range(1, START_ATTEMPTS + 1):
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} {CLUSTER_OPTIONS}"
        try:
            _run(folder, pg_ctl, "-D", data, "-w", "-l", log, "-o", options, "start")
        except subprocess.CalledProcessError:
            if attempt == START_ATTEMPTS:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text(encoding='utf-8')}", pytrace=False)
        else:
            return port
    raise AssertionError


def _run(folder: Path, *command: str | Path) -> None:
    """Run one of PostgreSQL's programs, as the unprivileged user when we are root."""
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    subprocess.run(
        [str(part) for part in command],
        user=user,
        group=user,
        extra_groups=() if user else None,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=STEP_SECONDS_AT_MOST,
        check=True,
    )
