"""Every client does the same work on one registry, by turns."""

import contextlib
import http.client
import json
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.clients.images import TAG, digests_of, make_layout
from bench.clients.measuring import Cost, requests_in, run_measured
from bench.clients.sizes import Size
from bench.clients.subjects import Subject
from bench.content import MANIFEST_TYPE, digest_of, manifest
from bench.errors import WrongAnswer
from bench.jobs import Job
from bench.plain_client import PlainClient
from bench.registries import running

LARGE: Final = "large"
MANY: Final = "many"
SCENARIOS: Final[tuple[str, ...]] = (
    "start",
    "resolve",
    f"push-{LARGE}",
    f"pull-{LARGE}",
    f"push-{MANY}",
    f"pull-{MANY}",
    "copy-unchanged",
)
_TAGGED: Final = "tagged"

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario with one client in one round."""

    scenario: str
    subject: str
    round: int
    cost: Cost

    def to_row(self) -> dict[str, Any]:
        """The figures for the raw results."""
        return {
            "scenario": self.scenario,
            "client": self.subject,
            "round": self.round,
            "seconds": round(self.cost.seconds, 4),
            "cpu_seconds": round(self.cost.cpu_seconds, 2),
            "peak_mib": round(self.cost.peak_bytes / 2**20, 1),
            "requests": self.cost.requests,
        }


def run_rounds(size: Size, subjects: list[Subject], scenarios: Sequence[str], folder: Path, say: Say) -> list[Measured]:
    """Every round with a fresh registry; who goes first changes from round to round."""
    layouts = {LARGE: folder / LARGE, MANY: folder / MANY}
    digests = {
        LARGE: make_layout(layouts[LARGE], 1, 1, size.large_layer_mib),
        MANY: make_layout(layouts[MANY], 2, size.layers, size.layer_mib),
    }
    measured: list[Measured] = []
    for number in range(1, size.rounds + 1):
        turn = number % len(subjects)
        with _place(folder / f"round-{number}", layouts, digests, size.tags, number) as place:
            for scenario in scenarios:
                for subject in subjects[turn:] + subjects[:turn]:
                    done = Measured(scenario, subject.name, number, place.run(scenario, subject))
                    say(f"round {number}  {scenario:<16} {subject.name:<10} {done.cost.seconds:8.3f} s")
                    measured.append(done)
    return measured


@dataclass(frozen=True, slots=True)
class _Place:
    """A registry with the images that are pulled, and a home in which there is nothing."""

    folder: Path
    port: int
    layouts: dict[str, Path]
    digests: dict[str, str]
    tags: dict[str, str]
    """Of the repository that is copied as a whole, with the digests of their manifests."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def run(self, scenario: str, subject: Subject) -> Cost:
        """Prepare, measure, check, clean up."""
        if scenario == "start":
            return self._measured([subject.start])
        if scenario == "resolve":
            return self._measured([subject.resolve(f"{self.address}/{MANY}:{TAG}")])
        if scenario == "copy-unchanged":
            return self._copied(subject)
        verb, _, image = scenario.partition("-")
        if verb == "push":
            return self._pushed(subject, image)
        return self._pulled(subject, image)

    def _pushed(self, subject: Subject, image: str) -> Cost:
        name = f"{subject.name}/{image}"
        cost = self._measured([subject.push(self.layouts[image], f"{self.address}/{name}:{TAG}")])
        self.check(name, {TAG: self.digests[image]})
        return cost

    def _pulled(self, subject: Subject, image: str) -> Cost:
        layout = self.folder / f"{subject.name}-{image}"
        cost = self._measured([subject.pull(f"{self.address}/{image}:{TAG}", layout)])
        if digests_of(layout) != {self.digests[image]}:
            raise WrongAnswer(f"{subject.name} pulled another image than {self.digests[image]}")
        shutil.rmtree(layout)
        return cost

    def _copied(self, subject: Subject) -> Cost:
        """The second copy of a repository, which has nothing to do."""
        target = f"{subject.name}/{_TAGGED}"
        commands = subject.copy(f"{self.address}/{_TAGGED}", f"{self.address}/{target}", sorted(self.tags))
        self._measured(commands)
        cost = self._measured(commands)
        self.check(target, self.tags)
        return cost

    def _measured(self, commands: list[list[str]]) -> Cost:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        os.sync()  # so that nobody waits for what was written before
        log = self.folder / "registry" / "log"
        before = requests_in(log)
        cost = run_measured(commands, environment, self.folder)
        return replace(cost, requests=requests_in(log) - before)

    def check(self, repository: str, tags: dict[str, str]) -> None:
        """Whether a repository has these tags; raises WrongAnswer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            for tag, digest in tags.items():
                connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE})
                answer = connection.getresponse()
                answer.read()
                if answer.headers["Docker-Content-Digest"] != digest:
                    raise WrongAnswer(f"{repository}:{tag} is not {digest}: {answer.status} {answer.headers}")


@contextlib.contextmanager
def _place(
    folder: Path, layouts: dict[str, Path], digests: dict[str, str], tags: int, seed: int
) -> Generator[_Place, None, None]:
    """Start a registry and fill it; afterwards everything is removed."""
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        registry = stack.enter_context(running("distribution", folder / "registry", login=False, is_quiet=False))
        tagged = _push_tags(registry.port, tags, seed)
        for name, layout in layouts.items():
            _push_layout(registry.port, layout, digests[name], name)
        yield _Place(folder, registry.port, layouts, digests, tagged)


def _push_tags(port: int, count: int, seed: int) -> dict[str, str]:
    """Give a repository small images, each with a tag of its own, and return what the tags name."""
    client = PlainClient.of(Job("", port, "", _TAGGED, seed))
    with contextlib.closing(client):
        client.push_image()
        tags = {"v0": digest_of(manifest(seed, 0))}
        for number in range(1, count):
            content = manifest(seed, number)
            tags[f"v{number}"] = digest_of(content)
            path = f"{client.base}/manifests/v{number}"
            client.put(path, digest_of(content), len(content), iter([content]), MANIFEST_TYPE)
    return tags


def _push_layout(port: int, layout: Path, digest: str, repository: str) -> None:
    """Push an image with plain requests."""
    client = PlainClient.of(Job("", port, "", repository, 0))
    with contextlib.closing(client):
        content = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
        document = json.loads(content)
        for blob in (document["config"], *document["layers"]):
            with (layout / "blobs" / blob["digest"].replace(":", "/")).open("rb") as file:
                body = iter(lambda: file.read(2**20), b"")
                client.put(client.start_upload(blob["digest"]), blob["digest"], blob["size"], body)
        client.put(f"{client.base}/manifests/{TAG}", digest, len(content), iter([content]), document["mediaType"])
