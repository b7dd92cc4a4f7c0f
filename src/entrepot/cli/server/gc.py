"""``entrepot gc``: the collection of unused content, beside a running server or without one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table, size_text
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.refusals import explained
from entrepot.compose import Collection, opened_collection, policy_of
from entrepot.lifecycle import CollectionStatus, Planned, SweepRefused, would_go
from entrepot.metadata import PARKED, Reclaimed
from entrepot.settings import Settings

_FLAGS: Final = ("data", "database")
_LISTED: Final = 1000
_REPOSITORIES: Final = 20

Value = TypeVar("Value")


@click.group
def gc() -> None:
    """Watch and run the collection of unused content."""


@gc.command
@settings_flags(_FLAGS)
@OUTPUT
def status(*, output: str, **given: Any) -> None:
    """Show what waits to be reviewed or deleted, and what came back so far."""

    async def read(collection: Collection) -> tuple[CollectionStatus, list[Reclaimed]]:
        return await collection.status(), await collection.status.by_repository(_REPOSITORIES)

    settings = load_given(**given).settings
    found, repositories = _run(settings, read)
    if output == "json":
        print_json(_status_document(found, repositories, settings))
        return
    review_after = policy_of(settings).review_after
    print_table(
        ["queue", "waiting", "parked", "failing", "next review"],
        [
            [
                queue.value,
                str(totals.waiting),
                str(totals.parked),
                str(totals.failing),
                _instant(None if totals.oldest is None else totals.oldest + review_after),
            ]
            for queue, totals in found.queues.items()
        ],
    )
    click.echo(
        f"\nobjects to delete: {found.dead_objects} ({size_text(found.dead_bytes)}), "
        f"refused by the store: {found.refused_objects}, next: {_instant(found.first_deletion_at)}"
    )
    click.echo(f"reclaimed so far: {size_text(found.reclaimed_bytes)}")
    if repositories:
        click.echo()
        print_table(
            ["repository", "reclaimed", "objects", "last"],
            [
                [row.repository or "-", size_text(row.bytes), str(row.objects), _instant(row.last_at)]
                for row in repositories
            ],
        )


@gc.command
@settings_flags(_FLAGS)
@click.option("--sweep", is_flag=True, help="First search all rows, and all objects in the store, for what was missed.")
@click.option("--force", is_flag=True, help="Sweep even if most objects are unknown to the database.")
@OUTPUT
def run(*, sweep: bool, force: bool, output: str, **given: Any) -> None:
    """Collect what is due by now; exit code 10 if something failed and will be tried again."""
    settings = load_given(**given).settings

    async def work(collection: Collection) -> tuple[Any, dict[str, int]]:
        swept: dict[str, int] = {}
        if sweep:
            swept["queued"] = sum((await collection.queue_unqueued()).values())
            await collection.trim_pulls()
            swept["swept"], swept["unknown"] = await collection.sweep_store(force=force)
        return await collection.collect_garbage(), swept

    try:
        collected, swept = _run(settings, work)
    except SweepRefused as refusal:
        raise CommandFailed(str(refusal), ExitCode.POLICY) from refusal
    document = {
        "uploads": collected.uploads,
        "manifests": collected.manifests.collected,
        "links": collected.links.collected,
        "blobs": collected.blobs.collected,
        "objects": collected.objects.objects,
        "bytes": collected.objects.bytes,
        "failures": collected.failures,
        **swept,
    }
    if output == "json":
        print_json(document)
    else:
        print_table(["what", "count"], [[what, str(count)] for what, count in document.items()])
    if collected.failures:
        message = f"{collected.failures} reviews or deletions failed and will be tried again; the log says why"
        raise CommandFailed(message, ExitCode.PARTIAL)


@gc.command
@settings_flags(_FLAGS)
@click.option("--all", "everything", is_flag=True, help="Also what must wait, and until when.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=_LISTED, show_default=True, help="Entries of each queue."
)
@OUTPUT
def plan(*, everything: bool, limit: int, output: str, **given: Any) -> None:
    """Show what the collection would do now, and why; changes nothing."""
    settings = load_given(**given).settings
    found = _run(settings, lambda collection: collection.plan(limit, due_only=not everything))
    if output == "json":
        print_json([_planned_document(entry) for entry in found])
        return
    print_table(
        ["queue", "repository", "digest", "size", "outcome", "reason", "until"],
        [
            [
                entry.queue,
                entry.repository or "-",
                entry.digest,
                size_text(entry.size),
                entry.verdict.outcome.name.lower(),
                entry.verdict.reason.value,
                _instant(entry.verdict.until),
            ]
            for entry in found
        ],
    )
    going = [entry for entry in found if would_go(entry)]
    click.echo(f"\n{len(going)} of {len(found)} would go")


def _run(settings: Settings, work: Callable[[Collection], Awaitable[Value]]) -> Value:
    async def opened() -> Value:
        async with opened_collection(settings) as collection:
            return await work(collection)

    with explained(settings):
        return asyncio.run(opened())


def _instant(instant: datetime | None) -> str:
    if instant is None or instant >= PARKED - timedelta(days=1):
        return "-"
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _status_document(found: CollectionStatus, repositories: list[Reclaimed], settings: Settings) -> dict[str, Any]:
    review_after = policy_of(settings).review_after
    return {
        "at": _instant(found.at),
        "queues": {
            queue.value: {
                "waiting": totals.waiting,
                "parked": totals.parked,
                "failing": totals.failing,
                "next_review_at": None if totals.oldest is None else _instant(totals.oldest + review_after),
            }
            for queue, totals in found.queues.items()
        },
        "objects": {
            "waiting": found.dead_objects,
            "bytes": found.dead_bytes,
            "refused": found.refused_objects,
            "next_deletion_at": None if found.first_deletion_at is None else _instant(found.first_deletion_at),
        },
        "reclaimed_bytes": found.reclaimed_bytes,
        "repositories": [
            {
                "repository": row.repository,
                "reclaimed_bytes": row.bytes,
                "objects": row.objects,
                "last_at": _instant(row.last_at),
            }
            for row in repositories
        ],
    }


def _planned_document(entry: Planned) -> dict[str, Any]:
    return {
        "queue": entry.queue,
        "repository": entry.repository,
        "digest": entry.digest,
        "size": entry.size,
        "event": entry.review.event.value,
        "event_at": _instant(entry.review.event_at),
        "outcome": entry.verdict.outcome.name.lower(),
        "reason": entry.verdict.reason.value,
        "until": None if entry.verdict.until is None else _instant(entry.verdict.until),
        "attempts": entry.review.attempts,
        "last_error": entry.review.last_error,
    }
