"""A server and its collectors as processes that are killed and started again while clients work."""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from harness.registry import LiveRegistry, running_registry

LEASE = timedelta(seconds=10)
DELETE_AFTER = timedelta(seconds=5)
COLLECTORS = 2
PASSWORD = "soak-password"
GC = {
    "ENTREPOT_UPLOADS__LEASE": f"{LEASE.seconds}s",
    "ENTREPOT_GC__REVIEW_AFTER": "0s",
    "ENTREPOT_GC__DELETE_AFTER": f"{DELETE_AFTER.seconds}s",
    "ENTREPOT_GC__UNTAGGED_AFTER": "0s",
    "ENTREPOT_GC__PULLED_WITHIN": "0s",
}

_TESTS = Path(__file__).parent.parent
_SERVER_LIVES = (8.0, 16.0)  # seconds
_COLLECTOR_LIVES = (0.1, 5.0)


@dataclass(slots=True)
class Scene:
    """The processes over one folder and one database (SQLite in the folder unless ``environment`` names another)."""

    folder: Path
    environment: Mapping[str, str]
    chance: random.Random
    workers: int = 1
    server_kills: int = 0
    collector_kills: int = 0
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _server: LiveRegistry | None = None

    @property
    def data(self) -> Path:
        """The data directory of server and collectors."""
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Where the server answered last; while it is being restarted nobody may."""
        assert self._server is not None
        return self._server.url

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that works on the same data."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
        return {**inherited, **GC, **self.environment, "ENTREPOT_DATA": str(self.data), "PYTHONPATH": str(_TESTS)}

    async def start_server(self) -> None:
        """Start the server; returns when it is ready."""
        entering = running_registry(
            self.folder,
            "--workers",
            str(self.workers),
            environment={**GC, **self.environment},
            admin_password=PASSWORD,
        )
        self._server = await asyncio.to_thread(self._stack.enter_context, entering)
        self.is_up.set()

    async def keep_killing_server(self, until: float) -> None:
        """Kill the server now and then and start it again, until that moment of the monotonic clock."""
        while (life := self.chance.uniform(*_SERVER_LIVES)) < until - time.monotonic():
            await asyncio.sleep(life)
            assert self._server is not None
            self.is_up.clear()
            await asyncio.to_thread(self._server.kill)
            self._keep_log(self.folder / "log", f"log-{self.server_kills}")
            self.server_kills += 1
            starting = asyncio.ensure_future(self.start_server())
            try:
                await asyncio.shield(starting)
            except asyncio.CancelledError:
                await starting  # nobody else would end it
                raise

    async def keep_collecting(self, number: int) -> None:
        """Run a collector, killed and started again now and then, until cancelled."""
        log = self.folder / f"collector-{number}.log"
        with log.open("ab") as errors:
            while True:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "collection.collector",
                    env=self.variables,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                )
                assert process.stdout is not None
                try:
                    assert await process.stdout.readline(), log.read_text(encoding="utf-8")
                    await asyncio.sleep(self.chance.uniform(*_COLLECTOR_LIVES))
                    assert process.returncode is None, log.read_text(encoding="utf-8")
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.communicate()
                self.collector_kills += 1

    def collector_logs(self) -> str:
        """What the collectors had to say: nothing, if all went well."""
        return "".join(log.read_text(encoding="utf-8") for log in sorted(self.folder.glob("collector-*.log")))

    def stop(self) -> None:
        """End the server in order."""
        self._stack.close()

    def _keep_log(self, log: Path, name: str) -> None:
        log.rename(self.folder / name)
