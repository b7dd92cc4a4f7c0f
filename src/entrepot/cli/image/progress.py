"""Telling on standard error what a transfer does: bars, lines, or JSON."""

import contextlib
import json
import sys
import time
from collections.abc import Generator
from typing import Any, Final

import click

from entrepot.cli.output import size_text
from entrepot.client.progress import Event, Progress, Stage, silent
from entrepot.oci import Digest

_LINE_SECONDS: Final = 10.0  # between lines about a blob that is under way
_JSON_SECONDS: Final = 0.25
_BAR_SECONDS: Final = 0.1
_SHOWN: Final = 12  # hexadecimal digits, as other tools show them
_WORDS: Final = {
    Stage.EXISTS: "is there already",
    Stage.MOUNTED: "is taken from another repository",
    Stage.DONE: "done",
}


@contextlib.contextmanager
def telling(mode: str) -> Generator[Progress, None, None]:
    """What to call with each event, in the chosen way; ``auto`` has bars on a terminal and lines elsewhere."""
    if mode == "auto":
        mode = "bar" if sys.stderr.isatty() else "plain"
    if mode == "bar":
        with _bars() as tell:
            yield tell
    elif mode == "json":
        yield _Json()
    elif mode == "plain":
        yield _Lines()
    else:
        yield silent


class _Rare:
    """Lets pass what is not too soon after the last of the same content."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: dict[Digest, float] = {}

    def is_due(self, event: Event) -> bool:
        """Whether to tell of this event; everything but movement is."""
        now = time.monotonic()
        if event.stage is Stage.MOVED and now - self._last.get(event.descriptor.digest, 0.0) < self._seconds:
            return False
        self._last[event.descriptor.digest] = now
        return True


class _Lines:
    """A line when something is begun and done, and now and then between."""

    def __init__(self) -> None:
        self._rare = _Rare(_LINE_SECONDS)

    def __call__(self, event: Event) -> None:
        if not self._rare.is_due(event):
            return
        size = size_text(event.descriptor.size)
        name = short(event.descriptor.digest)
        if event.stage is Stage.STARTED:
            rest = f", {size_text(event.position)} are there" if event.position else ""
            click.echo(f"{name}  {size}  begun{rest}", err=True)
        elif event.stage is Stage.MOVED:
            click.echo(f"{name}  {size_text(event.position)} of {size}", err=True)
        else:
            click.echo(f"{name}  {size}  {_WORDS[event.stage]}", err=True)


class _Json:
    """A line of JSON for each event, those of movement not too often."""

    def __init__(self) -> None:
        self._rare = _Rare(_JSON_SECONDS)

    def __call__(self, event: Event) -> None:
        if self._rare.is_due(event):
            document = {
                "event": event.stage.value,
                "digest": str(event.descriptor.digest),
                "mediaType": event.descriptor.media_type,
                "position": event.position,
                "size": event.descriptor.size,
            }
            click.echo(json.dumps(document), err=True)


@contextlib.contextmanager
def _bars() -> Generator[Progress, None, None]:
    """A bar for each blob that is under way."""
    # Imported here, so that help and pipes do without it.
    from rich.console import Console  # ruff: ignore[import-outside-top-level]
    from rich.progress import (  # ruff: ignore[import-outside-top-level]
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars  # ruff: ignore[import-outside-top-level]

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    """Keeps rich's bars in step with events."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[Digest, Any] = {}
        self._rare = _Rare(_BAR_SECONDS)

    def __call__(self, event: Event) -> None:
        digest = event.descriptor.digest
        if event.stage is Stage.STARTED and digest not in self._tasks:
            self._tasks[digest] = self._bars.add_task(
                short(digest), total=event.descriptor.size, completed=event.position
            )
        elif event.stage is Stage.MOVED:
            if digest in self._tasks and self._rare.is_due(event):
                self._bars.update(self._tasks[digest], completed=event.position)
        elif digest in self._tasks and event.stage in _WORDS:
            self._bars.remove_task(self._tasks.pop(digest))
            self._bars.console.print(f"{short(digest)}  {size_text(event.descriptor.size)}  {_WORDS[event.stage]}")


def short(digest: Digest) -> str:
    """The beginning of a digest, enough to tell it from others of an image."""
    return digest.encoded[:_SHOWN]
