"""``entrepot tls check``: what a certificate says, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from cryptography import x509

from entrepot.certificates import Facts, Fault, facts_of, faults_of, key_fits, read_chain
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json
from entrepot.cli.server.tls.handshake import Seen, look_at

_DEFAULT_PORT: Final = 443

_WORDS: Final[Mapping[Fault, str]] = {
    Fault.EXPIRED: "a certificate of the chain is over: have a new one issued; the server reads it without a restart",
    Fault.NOT_YET_VALID: "a certificate begins in the future: is the clock of this machine right?",
    Fault.ENDS_SOON: "the certificate ends within 30 days: have a new one issued",
    Fault.NO_NAMES: "the certificate has no alternative names, and clients no longer look at the common name: "
    "have one issued with the server's names",
    Fault.OTHER_NAMES: "the certificate is for other names: use one of these, or have one issued for this",
    Fault.BROKEN_CHAIN: "the certificates do not sign each other in their order: the server's own comes first, then "
    "the one that signed it, and so on",
    Fault.OTHER_KEY: "the key belongs to another certificate",
    Fault.SELF_SIGNED: "the certificate has signed itself: clients have to be given this very one; `entrepot tls init` "
    "makes an authority that can be given to them once for all",
}
_HARMLESS: Final = frozenset({Fault.ENDS_SOON, Fault.SELF_SIGNED})


@click.command
@click.argument("server", required=False, metavar="[HOST[:PORT]]")
@click.option("--certificate", type=click.Path(path_type=Path), metavar="FILE", help="Look at a file instead, in PEM.")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="The key that is to go with the file.")
@click.option("--host", metavar="NAME", help="The name that the certificate of a file is to have.")
@click.option(
    "--ca", type=click.Path(path_type=Path), metavar="FILE", help="Trust this authority instead of the system's."
)
@OUTPUT
def check(
    *,
    server: str | None,
    certificate: Path | None,
    key: Path | None,
    host: str | None,
    ca: Path | None,
    output: str,
) -> None:
    """Show chain, names and expiry of a server's certificate, or of one in a file, and what is wrong with it.

    Leaves with 6 when clients would refuse it.
    """
    if (server is None) == (certificate is None):
        raise CommandFailed("say what to look at: HOST[:PORT], or --certificate FILE", ExitCode.USAGE)
    if certificate is not None:
        chain, refusal = _read(certificate), None
        faults = faults_of(chain, host, datetime.now(UTC))
        if key is not None and not _fits(chain[0], key):
            faults.append(Fault.OTHER_KEY)
    else:
        name, port = _address(server or "")
        seen = look_at(name, port, ca)
        chain, refusal = seen.chain, _refusal(seen)
        faults = faults_of(chain, name, datetime.now(UTC))
    facts = [facts_of(one) for one in chain]
    _show(facts, faults, refusal, output)
    if refusal is not None or set(faults) - _HARMLESS:
        raise click.exceptions.Exit(ExitCode.NETWORK)


def _address(server: str) -> tuple[str, int]:
    """Host and port of ``HOST``, ``HOST:PORT``, ``[ADDRESS]:PORT`` or ``https://HOST:PORT``; raises CommandFailed."""
    text = server.removeprefix("https://").rstrip("/")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        host, port = (host if bracket else ""), rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host or "/" in host or not (not port or (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16)):
        raise CommandFailed(f"{server!r} is no address such as registry.example:5000", ExitCode.USAGE)
    return host, int(port or _DEFAULT_PORT)


def _read(certificate: Path) -> list[x509.Certificate]:
    try:
        return read_chain(certificate.read_bytes())
    except OSError as error:
        raise CommandFailed(f"{certificate}: {error.strerror}", ExitCode.USAGE) from error
    except ValueError as error:
        raise CommandFailed(f"{certificate}: no certificates in PEM", ExitCode.USAGE) from error


def _fits(certificate: x509.Certificate, key: Path) -> bool:
    try:
        return key_fits(certificate, key.read_bytes())
    except OSError as error:
        raise CommandFailed(f"{key}: {error.strerror}", ExitCode.USAGE) from error
    except ValueError as error:
        raise CommandFailed(f"{key}: no unencrypted key in PEM", ExitCode.USAGE) from error


def _refusal(seen: Seen) -> str | None:
    if seen.refusal is None:
        return None
    return f"it is not trusted here: {seen.refusal}; give the authority with --ca, or to the system's store"


def _show(facts: Sequence[Facts], faults: Sequence[Fault], refusal: str | None, output: str) -> None:
    if output == "json":
        chain = [
            {**asdict(one), "not_before": _instant(one.not_before), "not_after": _instant(one.not_after)}
            for one in facts
        ]
        print_json({"chain": chain, "faults": [fault.value for fault in faults], "refusal": refusal})
        return
    for place, one in enumerate(facts):
        click.echo(f"{place}  {one.subject}")
        click.echo(f"   issued by  {one.issuer}")
        if one.names:
            click.echo(f"   names      {', '.join(one.names)}")
        click.echo(f"   good       {_instant(one.not_before)} to {_instant(one.not_after)}")
        click.echo(f"   SHA-256    {one.fingerprint}")
    said = [*([refusal] if refusal else []), *(_WORDS[fault] for fault in faults)]
    for line in said:
        click.echo(f"- {line}")
    if not said:
        click.echo("nothing is wrong with it")


def _instant(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")
