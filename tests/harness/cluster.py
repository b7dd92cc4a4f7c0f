"""A PostgreSQL server for one test alone, which may stop it, start it and freeze it."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

from harness.ports import free_port
from harness.postgresql import ROLE, UNPRIVILEGED_USER
from harness.programs import find_program

STEP_SECONDS_AT_MOST = 30


class Cluster:
    """A server that a test may stop, start and freeze."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "-A", "trust", "-U", ROLE, "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
        self.start()

    @property
    def url(self) -> str:
        """The address of its one database."""
        return f"postgresql://{ROLE}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c fsync=off"
        )
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it, whoever is connected."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Let its processes stand still: connections stay open, and nothing answers."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split()
        processes = [postmaster, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [find_program(program), "-D", self._folder / "data", *arguments],
            user=self._user,
            group=self._user,
            extra_groups=() if self._user else None,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=STEP_SECONDS_AT_MOST,
            check=True,
        )


@contextlib.contextmanager
def running_cluster() -> Generator[Cluster, None, None]:
    """Make a server, start it, and end and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-cluster-"))
    try:
        cluster = Cluster(folder)
        yield cluster
        cluster.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
