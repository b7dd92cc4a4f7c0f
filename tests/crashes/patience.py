"""Clients that come again when they are told to, as real ones do, and readers that take nothing but the truth."""

import time
from collections import Counter

import httpx

from crashes.client import Client, Refused, expect
from crashes.ledger import Ledger
from crashes.pushers import Pusher
from harness.ports import POLL_SECONDS, wait_until
from harness.protocol import EMPTY, image
from harness.registry import LiveRegistry

SECONDS_AT_MOST = 60.0


class PatientPusher:
    """A pusher that bears refusals that say when to come again; ``done`` counts what it did meanwhile."""

    def __init__(self, pusher: Pusher) -> None:
        self.ledger = pusher.ledger
        self.done = 0
        self.refused = 0
        self._pusher = pusher

    def work(self, registry: LiveRegistry, http: httpx.Client) -> None:
        """Do one thing more, unless it is refused."""
        try:
            self._pusher.work(registry, http)
        except Refused:
            self.refused += 1
            time.sleep(POLL_SECONDS)
        else:
            self.done += 1


class Reader:
    """Pulls one image all the time; it is there, so nothing but 200 is right while the registry can answer.

    With ``patient`` it may also be told to come again.
    """

    def __init__(self, repository: str, layer: bytes, *, patient: bool) -> None:
        self.ledger = Ledger()
        self.statuses: Counter[int] = Counter()
        self._base = f"/v2/{repository}"
        self._image = image(layer)
        self._patient = patient

    @property
    def done(self) -> int:
        """How many reads succeeded."""
        return self.statuses[200]

    def work(self, registry: LiveRegistry, http: httpx.Client) -> None:
        """Look at tag, manifest and blobs."""
        layer = self._image["layers"][0]["digest"]
        for path in ("manifests/there", f"blobs/{layer}", "tags/list"):
            answer = http.get(f"{self._base}/{path}")
            self.statuses[answer.status_code] += 1
            try:
                expect(answer, 200)
            except Refused:
                assert self._patient, f"GET {path} was refused: {answer.text}"
                time.sleep(POLL_SECONDS)


def wait_for_progress(*workers: PatientPusher | Reader) -> None:
    """Wait until each of them has done something from now on."""
    before = [worker.done for worker in workers]
    wait_until(
        lambda: all(worker.done > number for worker, number in zip(workers, before, strict=True)),
        "every client has got something done",
        seconds_at_most=SECONDS_AT_MOST,
    )


def wait_for_refusals(*pushers: PatientPusher) -> None:
    """Wait until each of them was told to come again, from now on."""
    before = [pusher.refused for pusher in pushers]
    wait_until(
        lambda: all(pusher.refused > number for pusher, number in zip(pushers, before, strict=True)),
        "every pusher was refused",
        seconds_at_most=SECONDS_AT_MOST,
    )


def push_there(http: httpx.Client, repository: str, layer: bytes) -> None:
    """Push the image that the readers pull."""
    client = Client(http, repository, Ledger())
    client.push_blob(EMPTY)
    client.push_blob(layer)
    client.put_manifest("there", image(layer))
