"""``entrepot jobs``: the queue of jobs, beside a running server or without one."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import click

from entrepot import compose
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.job_pages import job_as_json, job_page, jobs_table, schedules_table
from entrepot.cli.server.refusals import explained
from entrepot.jobs import JobKind, submit
from entrepot.metadata import (
    Database,
    Job,
    JobState,
    find_job,
    list_jobs,
    list_schedules,
    read_job_log,
    request_cancellation,
)

T = TypeVar("T")

Act = Callable[[Database, Mapping[str, JobKind]], Awaitable[T]]

_FLAGS: Final = ("data", "database")
_WAIT_POLL: Final = 0.3  # seconds between two looks at a job that is waited for


@click.group
def jobs() -> None:
    """Show, start and cancel jobs, also while the server runs."""


@jobs.command("list")
@settings_flags(_FLAGS)
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--kind", metavar="KIND", help="Only jobs of this kind.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="How many at most."
)
@OUTPUT
def list_(*, state: str | None, kind: str | None, limit: int, output: str, **given: Any) -> None:
    """List jobs, newest first."""

    async def act(database: Database, _: Mapping[str, JobKind]) -> list[Job]:
        wanted = JobState(state) if state else None
        return await database.read(lambda tx: list_jobs(tx, limit, state=wanted, kind=kind))

    found = _with_queue(given, act)
    if output == "json":
        click.echo(json.dumps([job_as_json(job) for job in found], indent=2))
    elif found:
        click.echo(jobs_table(found))


@jobs.command
@settings_flags(_FLAGS)
@click.argument("number", type=int, metavar="ID")
@OUTPUT
def show(*, number: int, output: str, **given: Any) -> None:
    """Show a job with its progress and its log."""

    async def act(database: Database, _: Mapping[str, JobKind]) -> str:
        job, log = await database.read(lambda tx: (find_job(tx, number), read_job_log(tx, number)))
        if job is None:
            raise _unknown(number)
        return json.dumps(job_as_json(job, log), indent=2) if output == "json" else job_page(job, log)

    click.echo(_with_queue(given, act))


@jobs.command
@settings_flags(_FLAGS)
@click.argument("number", type=int, metavar="ID")
def cancel(*, number: int, **given: Any) -> None:
    """Cancel a job: at once while it is queued, within seconds while it runs."""

    async def act(database: Database, _: Mapping[str, JobKind]) -> Job | None:
        return await database.write(lambda tx: request_cancellation(tx, number))

    job = _with_queue(given, act)
    if job is None:
        raise _unknown(number)
    if job.state is JobState.RUNNING:
        click.echo(f"job {number} is running and will be cancelled")
    elif job.state is JobState.CANCELLED:
        click.echo(f"job {number} is cancelled")
    else:
        message = f"job {number} has ended already: {job.state}"
        raise CommandFailed(message, ExitCode.OTHER)


@jobs.command
@settings_flags(_FLAGS)
@click.argument("name", metavar="KIND")
@click.option("--parameters", default="{}", metavar="JSON", help="What the job is to know, as a JSON object.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit code 1 unless it is done.")
def run(*, name: str, parameters: str, wait: bool, **given: Any) -> None:
    """Queue a job of a kind, for a worker to run now; one that is queued or running already is taken for it."""
    wanted = _object_of(parameters)

    async def act(database: Database, kinds: Mapping[str, JobKind]) -> Job:
        kind = kinds.get(name)
        if kind is None:
            message = f"there is no kind of job {name!r}; there are: {', '.join(sorted(kinds))}"
            raise CommandFailed(message, ExitCode.NOT_FOUND)
        number, is_new = await database.write(lambda tx: submit(tx, kind, wanted))
        job = await _found(database, number)
        if job.parameters != wanted:
            message = f"job {number} with other parameters is {job.state} already"
            raise CommandFailed(message, ExitCode.OTHER)
        click.echo(f"job {number} is queued" if is_new else f"job {number} is {job.state} already")
        while wait and job.finished_at is None:
            await asyncio.sleep(_WAIT_POLL)
            job = await _found(database, number)
        return job

    job = _with_queue(given, act)
    if wait:
        if job.state is not JobState.DONE:
            reason = f": {job.last_error}" if job.last_error else ""
            message = f"job {job.id} is {job.state}{reason}"
            raise CommandFailed(message, ExitCode.OTHER)
        click.echo(f"job {job.id} is done")


@jobs.command
@settings_flags(_FLAGS)
def schedules(**given: Any) -> None:
    """List what is queued by itself, and when next; workers write that down when they begin."""

    async def act(database: Database, _: Mapping[str, JobKind]) -> str:
        return schedules_table(await database.read(list_schedules))

    click.echo(_with_queue(given, act))


def _with_queue(given: Mapping[str, Any], act: Act[T]) -> T:
    settings = load_given(**given).settings

    async def opened() -> T:
        async with compose.queue_of(settings) as (database, kinds):
            return await act(database, kinds)

    with explained(settings):
        return asyncio.run(opened())


async def _found(database: Database, number: int) -> Job:
    job = await database.read(lambda tx: find_job(tx, number))
    if job is None:
        raise _unknown(number)
    return job


def _unknown(number: int) -> CommandFailed:
    return CommandFailed(f"there is no job {number}", ExitCode.NOT_FOUND)


def _object_of(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        message = f"--parameters: not JSON: {error}"
        raise CommandFailed(message, ExitCode.USAGE) from error
    if not isinstance(value, dict):
        message = "--parameters: wants a JSON object"
        raise CommandFailed(message, ExitCode.USAGE)
    return value
