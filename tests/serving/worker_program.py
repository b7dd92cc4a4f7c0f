"""A worker in a process of its own, with a kind of job that goes on until a file says that it may end.

``python worker_program.py URL FOLDER LEASE_SECONDS``. In FOLDER each run of a job leaves a file ``begun-PID``, then
``done-PID`` or, when it is ended early, ``cut-PID``; ``free`` lets it end.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from entrepot.jobs import JobKind, JobRun, Worker
from entrepot.metadata import open_database

KIND = "held"


async def work(url: str, folder: Path, lease: timedelta) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def held(run: JobRun) -> None:
        (folder / f"begun-{os.getpid()}").touch()
        try:
            while not (folder / "free").exists():
                run.progress(1)
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            (folder / f"cut-{os.getpid()}").touch()
            raise
        (folder / f"done-{os.getpid()}").touch()

    database = open_database(url)
    kind = JobKind(KIND, held)
    worker = Worker(database, [kind], poll_interval=timedelta(milliseconds=100), concurrency=1, lease=lease)
    await worker.run(stop)
    await database.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), timedelta(seconds=float(sys.argv[3]))))
