"""``entrepot tls init``: a private authority, a certificate of the server, and where clients need the authority."""

import os
import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import click

from entrepot.certificates import SERVER_LIFETIME, Signed, issue, make_authority
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json
from entrepot.cli.server.tls.places import places_of

_HOST: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_DEFAULT_PORT: Final = 5000


@click.command
@click.option(
    "--host", "hosts", multiple=True, required=True, metavar="NAME", help="A name or address of the server. Several."
)
@click.option(
    "--port", default=_DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535), help="Where it listens."
)
@click.option(
    "--out",
    default=Path("tls"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the files are written: ca.crt, ca.key, server.crt, server.key.",
)
@click.option(
    "--days", default=SERVER_LIFETIME.days, show_default=True, type=click.IntRange(1, 3650), help="How long it is good."
)
@click.option("--force", is_flag=True, help="Write over the server's certificate and key that are there.")
@OUTPUT
def init(*, hosts: tuple[str, ...], port: int, out: Path, days: int, force: bool, output: str) -> None:
    """Make a private authority and a certificate of the server, and say where clients need the authority.

    An authority that is in the directory already signs the new certificate, so that clients need nothing new.
    """
    for host in hosts:
        _check_host(host)
    files = [out / name for name in ("server.crt", "server.key")]
    existing = [file for file in files if file.exists()]
    if existing and not force:
        raise CommandFailed(f"{existing[0]}: there is one already; --force writes over it", ExitCode.USAGE)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority, is_new = _authority(out, hosts[0])
        server = issue(authority, hosts, timedelta(days=days))
        _write(out / "server.key", server.key_pem, 0o600)
        _write(out / "server.crt", server.certificate_pem, 0o644)
    except OSError as error:
        raise CommandFailed(f"{error.filename or out}: {error.strerror}", ExitCode.OTHER) from error
    _show(out, hosts, port, output, is_new=is_new)


def _check_host(host: str) -> None:
    with suppress(ValueError):
        ip_address(host)
        return
    if not _HOST.fullmatch(host) or ".." in host:
        message = f"{host!r} is neither a DNS name nor an address; give it without https:// and without a port"
        raise CommandFailed(message, ExitCode.USAGE)


def _authority(out: Path, host: str) -> tuple[Signed, bool]:
    """The authority of the directory, and whether it was just made."""
    certificate, key = out / "ca.crt", out / "ca.key"
    if certificate.exists() or key.exists():
        try:
            return Signed.read(certificate.read_bytes(), key.read_bytes()), False
        except ValueError as error:
            message = f"{out}: ca.crt and ca.key are no authority of this command ({error})"
            raise CommandFailed(message, ExitCode.USAGE) from error
    made = make_authority(f"entrepot at {host}")
    _write(key, made.key_pem, 0o600)
    _write(certificate, made.certificate_pem, 0o644)
    return made, True


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, readable from the start by whom it is meant for alone."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _show(out: Path, hosts: tuple[str, ...], port: int, output: str, *, is_new: bool) -> None:
    where = out.resolve()
    places = places_of(hosts[0], port, where / "ca.crt")
    if output == "json":
        files = {name: str(where / name) for name in ("ca.crt", "ca.key", "server.crt", "server.key")}
        print_json({"files": files, "new_authority": is_new, "clients": {one.client: one.steps for one in places}})
        return
    click.echo(f"{'made an authority and' if is_new else 'made'} a certificate for {', '.join(hosts)} in {where}")
    click.echo("\nserve with it; it is read anew when it changes:")
    click.echo(f"  entrepot serve --tls-certificate {where / 'server.crt'} --tls-key {where / 'server.key'}")
    click.echo("\nkeep ca.key where nobody else gets it: who has it can be any server to these clients")
    for place in places:
        click.echo(f"\n{place.client}:")
        for step in place.steps:
            click.echo(f"  {step}")
