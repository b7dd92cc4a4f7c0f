"""A server that dies at a step, and the server after it."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from crashes.client import Client
from crashes.dying_server import CRASH_DISK, CRASH_FILE
from crashes.ledger import Ledger
from crashes.site import Site
from crashes.steps import Stage, Step, is_interrupted

TESTS = Path(__file__).parents[1]
DYING_SERVER = (sys.executable, "-m", "crashes.dying_server")
REPOSITORY = "crashes/image"


def die_and_recover(site: Site, step: Step, *, cut_disk: Path | None = None, between: Callable[[], None]) -> None:
    """Let a server die at the step, with the power of ``cut_disk`` if one is given, and prove that nothing is lost.

    ``between`` is done while no server runs. The work of the step is done once more afterwards, to success.
    """
    ledger = Ledger()
    crash_file = site.folder / "crash"
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": path, CRASH_FILE: str(crash_file)}
    if cut_disk is not None:
        environment[CRASH_DISK] = str(cut_disk)
    with site.served(program=DYING_SERVER, **environment) as dying, site.http(dying) as http:
        stage = Stage(Client(http, REPOSITORY, ledger), Client(http, f"{REPOSITORY}/other", ledger))
        stage.set()
        crash_file.write_text(step.where, encoding="ascii")
        assert is_interrupted(stage, step), f"the registry did not die: {step}"
        assert dying.wait() == -signal.SIGKILL
    between()
    with site.served() as registry, site.http(registry) as http:
        site.survey(http, [ledger], after_power_cut=cut_disk is not None)
        step.work(stage.again(Client(http, REPOSITORY, ledger), Client(http, f"{REPOSITORY}/other", ledger)))
        site.survey(http, [ledger], after_power_cut=cut_disk is not None)
        assert registry.stop() == 0
