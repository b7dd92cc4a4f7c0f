"""``entrepot admin audit``: who did what, who logged in, and who was refused."""

from datetime import UTC, datetime
from typing import Any

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import instant, instant_json, operator, run, which_registry
from entrepot.metadata import AuditFilter, AuditRow
from entrepot.settings import parse_duration


@click.group
def audit() -> None:
    """Look at the record of logins, refusals and changes."""


@audit.command("list")
@click.option("--actor", metavar="NAME", help="Of this user, robot or operator.")
@click.option("--action", metavar="ACTION", help="Such as login, tag.delete, user.add or robot.rotate.")
@click.option("--repository", metavar="NAME", help="About this repository.")
@click.option("--address", metavar="ADDRESS", help="From this address.")
@click.option("--outcome", type=click.Choice(["done", "refused"]), help="Only these.")
@click.option("--since", metavar="WHEN", help="Not before: a duration such as 2d, or 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="WHEN", help="Before, likewise.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="How many.")
@which_registry
@OUTPUT
def list_audit(*, limit: int, output: str, **given: Any) -> None:
    """List what was recorded, newest first."""
    words = {name: given.pop(name) for name in ("actor", "action", "repository", "address", "outcome")}
    since, until = (_when(given.pop(name)) for name in ("since", "until"))
    wanted = AuditFilter(**words, since=since, until=until)

    async def work(administration: Any) -> list[AuditRow]:
        found: list[AuditRow] = []
        while len(found) < limit and (
            page := await administration.audit.page(
                operator(), wanted, found[-1].id if found else None, limit - len(found)
            )
        ):
            found += page
        return found

    found = run(given, work)
    if output == "json":
        print_json([_document(one) for one in found])
        return
    print_table(["when", "who", "from", "did", "to", "outcome", "times"], [_line(one) for one in found])


def _when(text: str | None) -> datetime | None:
    """An instant, also one that is given by how long ago it was; raises CommandFailed."""
    if text is None:
        return None
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is neither a duration such as 2d nor an instant such as 2026-01-31T12:00:00Z"
        raise CommandFailed(message, ExitCode.USAGE) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _line(row: AuditRow) -> list[str]:
    about = ":".join(filter(None, (row.repository, row.reference)))
    reason = row.detail.get("reason") or row.detail.get("scope")
    outcome = row.outcome if row.outcome == "done" or not reason else f"{row.outcome} ({reason})"
    return [
        instant(row.at),
        row.actor.name or row.actor.kind,
        row.actor.address or "-",
        row.action,
        about or "-",
        outcome,
        str(row.times),
    ]


def _document(row: AuditRow) -> dict[str, object]:
    return {
        "at": instant_json(row.at),
        "actor_kind": row.actor.kind,
        "actor_id": row.actor.id,
        "actor": row.actor.name,
        "address": row.actor.address,
        "credential": row.actor.credential,
        "action": row.action,
        "repository": row.repository,
        "reference": row.reference,
        "outcome": row.outcome,
        "times": row.times,
        "detail": row.detail,
    }
