"""``entrepot admin user import-htpasswd``: users of a password file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import click

from entrepot.access import (
    ADMIN,
    HTPASSWD_BYTES_AT_MOST,
    HTPASSWD_USERS_AT_MOST,
    HashedUser,
    RefusedLine,
    parse_htpasswd,
)
from entrepot.access.administration import REFUSALS, ImportedUser, ImportOutcome
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import FLAGS, data_of, operator, run
from entrepot.cli.server.given_settings import settings_flags

_ANEW: Final = "hash the password anew with `htpasswd -B`, or give a new one with `entrepot admin user add`"

_WHY: Final[Mapping[str, str]] = {
    "utf-8": "the line is no UTF-8",
    "malformed": "the line is no name and hash with a colon between them",
    "long": "the line is too long",
    "name": "no user may be called that: choose a name without spaces, '/', ':' and '@', not beginning with '_'",
    "twice": "an earlier line has the name: delete one of them",
    "number": f"a file may have {HTPASSWD_USERS_AT_MOST} users: divide it",
    "md5": f"a hash by MD5 is not taken: {_ANEW}",
    "sha1": f"a hash by SHA-1 is not taken: {_ANEW}",
    "crypt": f"a hash by crypt is not taken: {_ANEW}",
    "bcrypt": f"the bcrypt hash is not complete: {_ANEW}",
    "bcrypt-cost": f"the cost of the bcrypt hash is more than 12: {_ANEW}",
    "argon2": "the Argon2 hash is not by Argon2id, is not complete, or costs more than 64 MiB and three passes: "
    "give a new password with `entrepot admin user add`",
    "unknown": f"this is no hash that is taken: {_ANEW}",
    "robot": "a robot has the name: delete the line",
    "provider": "a user of an identity provider has the name: delete the line",
}


@dataclass(frozen=True, slots=True)
class _Read:
    users: list[HashedUser]
    refused: list[RefusedLine]


@click.command("import-htpasswd")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--force", is_flag=True, help="Give users who are there already the password of the file.")
@click.option("--skip-refused", is_flag=True, help="Import the other lines, too, when some are refused.")
@settings_flags(FLAGS)
@OUTPUT
def import_htpasswd(
    *, file: BinaryIO, dry_run: bool, force: bool, skip_refused: bool, output: str, **settings: Any
) -> None:
    """Make the users of a file by htpasswd with the passwords that they have there.

    FILE has a name and a hash by bcrypt (htpasswd -B) or Argon2id in each line; - is stdin. The users may do nothing
    until a binding says so. If a line is refused, nothing is imported. It works on the data itself, here.
    """
    given = {**settings, "server": None, "login": None, "ca": None}
    read = _read(file)

    async def work(administration: Any) -> list[ImportedUser]:
        planned: list[ImportedUser] = await administration.import_users.plan(operator(), read.users, replaces=force)
        read.refused.extend(RefusedLine(one.line, one.name, one.outcome.value) for one in planned if _is_refused(one))
        if read.refused and not skip_refused:
            raise CommandFailed("\n".join(["nothing is imported:", *_lines(read.refused)]), ExitCode.USAGE)
        if dry_run:
            return planned
        imported: list[ImportedUser] = await administration.import_users(operator(), read.users, replaces=force)
        return imported

    imported = [one for one in run(given, work) if not _is_refused(one)]
    data = data_of(given)
    if not dry_run and data is not None and _is_replaced(ADMIN, imported):
        (data / "admin-password").unlink(missing_ok=True)
    _print(imported, read.refused, output, dry_run=dry_run)
    if read.refused:
        raise CommandFailed("\n".join(_lines(read.refused)), ExitCode.PARTIAL)


def _read(file: BinaryIO) -> _Read:
    content = file.read(HTPASSWD_BYTES_AT_MOST + 1)
    if len(content) > HTPASSWD_BYTES_AT_MOST:
        raise CommandFailed(f"the file has more than {HTPASSWD_BYTES_AT_MOST} bytes: divide it", ExitCode.USAGE)
    return _Read(*parse_htpasswd(content))


def _print(imported: Sequence[ImportedUser], refused: Sequence[RefusedLine], output: str, *, dry_run: bool) -> None:
    if output == "json":
        print_json(
            {
                "dry_run": dry_run,
                "users": [{"line": one.line, "name": one.name, "outcome": one.outcome.value} for one in imported],
                "refused": [{"line": one.line, "name": one.name, "reason": one.reason} for one in refused],
            }
        )
        return
    print_table(["line", "name", "outcome"], [[str(one.line), one.name, one.outcome.value] for one in imported])
    if dry_run:
        click.echo("nothing is changed: this was a dry run", err=True)


def _lines(refused: Sequence[RefusedLine]) -> list[str]:
    """Each refusal with its line, the name if it can be shown, and what to do."""
    return [
        ": ".join(filter(None, (f"line {one.line}", one.name if one.name.isprintable() else "", _WHY[one.reason])))
        for one in sorted(refused, key=lambda one: one.line)
    ]


def _is_refused(one: ImportedUser) -> bool:
    return one.outcome in REFUSALS


def _is_replaced(name: str, imported: Sequence[ImportedUser]) -> bool:
    return any(one.name == name and one.outcome is ImportOutcome.REPLACED for one in imported)
