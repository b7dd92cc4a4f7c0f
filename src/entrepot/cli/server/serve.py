"""``entrepot serve``: the registry itself."""

import contextlib
import logging
from collections.abc import Generator, Sequence
from typing import Any, Final

import click

from entrepot import compose
from entrepot.access import ClientIdentity
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.server.banner import banner
from entrepot.cli.server.directories import make_directories
from entrepot.cli.server.directory_lock import DirectoryInUseError, locked
from entrepot.cli.server.given_settings import load_given, require_reachable, settings_flags
from entrepot.cli.server.network_filesystems import mounted, network_filesystem
from entrepot.cli.server.refusals import explained
from entrepot.http import logs, server
from entrepot.http.listen_errors import ListenError
from entrepot.http.listeners import Address, Listener
from entrepot.http.tls import TLS, ClientAuthority
from entrepot.http.workers import Companion, StartupFailed
from entrepot.settings import Loaded, Settings

logger = logging.getLogger(__name__)

_FLAG_OF: Final = {
    compose.PUBLIC: "--listen",
    compose.OPERATIONS: "--ops-listen",
    compose.REDIRECT: "--tls-redirect-listen",
}
_AIRPLAY_PORT: Final = 5000


@click.command
@settings_flags()
@click.option("--no-worker", is_flag=True, help="Run no jobs beside the server: --jobs-in-serve false.")
def serve(*, no_worker: bool, **given: Any) -> None:
    """Run the registry until it is told to stop (SIGTERM or Ctrl-C)."""
    loaded = load_given(**({**given, "jobs__in_serve": "false"} if no_worker else given))
    require_reachable(loaded)
    settings = loaded.settings
    make_directories(loaded)
    refuse_network_filesystem(settings, mounted())
    with _directory_held(loaded):
        log = logs.Logs(settings.log.level.value)
        logs.configure(log)
        warn(loaded)
        with explained(settings):
            prepared = compose.prepare(settings)
        password_file = prepared.admin_password_file or settings.admin.password_file

        def ready(addresses: Sequence[Address]) -> None:
            urls = {address.listener: address.url for address in addresses}
            text = banner(
                urls[compose.PUBLIC],
                urls.get(compose.OPERATIONS),
                public_url=settings.public_url,
                password_file=password_file,
                data=settings.data,
            )
            click.echo(text)
            if settings.jobs.in_serve:
                jobs.start()

        jobs = Companion(compose.WorkerProcess(settings, log), grace=settings.http.graceful_stop)
        try:
            server.serve(
                compose.AppFactory(settings),
                listeners_of(settings),
                limits=compose.limits_of(settings),
                workers=settings.workers,
                logs=log,
                on_ready=ready,
                on_stopping=jobs.stop,
            )
        except ListenError as error:
            raise CommandFailed(explain_listen_error(error, settings), ExitCode.USAGE) from error
        except StartupFailed as error:
            raise CommandFailed(f"the registry does not start: {error}", ExitCode.OTHER) from error
        finally:
            jobs.close()


def listeners_of(settings: Settings) -> list[Listener]:
    """The public listener first, with TLS if there is a certificate, then the one for operators if there is one."""
    tls = None
    if settings.tls.certificate is not None and settings.tls.key is not None:
        tls = TLS(settings.tls.certificate, settings.tls.key, _clients_of(settings))
    listeners = [Listener(compose.PUBLIC, settings.listen.host, settings.listen.port, tls)]
    if settings.ops_listen is not None:
        listeners.append(Listener(compose.OPERATIONS, settings.ops_listen.host, settings.ops_listen.port))
    if settings.tls.redirect_listen is not None:
        address = settings.tls.redirect_listen
        listeners.append(Listener(compose.REDIRECT, address.host, address.port))
    return listeners


def _clients_of(settings: Settings) -> ClientAuthority | None:
    given = settings.tls
    if given.client_ca is None:
        return None
    identity = ClientIdentity(given.client_identity.value)
    return ClientAuthority(given.client_ca, required=given.client_required, identity=identity)


def explain_listen_error(error: ListenError, settings: Settings) -> str:
    """One line that names the flag, and a free port where the wanted one is taken."""
    flag = _FLAG_OF.get(error.listener or "")
    if flag is None:
        return str(error)
    wanted = {
        compose.PUBLIC: settings.listen,
        compose.OPERATIONS: settings.ops_listen,
        compose.REDIRECT: settings.tls.redirect_listen,
    }[error.listener or compose.PUBLIC]
    assert wanted is not None
    if error.free_port is None:
        return f"{flag}: {error}"
    host = str(wanted).rpartition(":")[0]
    hint = " (on macOS, AirPlay Receiver uses 5000)" if wanted.port == _AIRPLAY_PORT else ""
    return f"{flag}: {error}{hint}; try {flag} {host}:{error.free_port}"


def refuse_network_filesystem(settings: Settings, mountinfo: str) -> None:
    """Raise CommandFailed for SQLite on a file system over the network, unless the settings allow it."""
    database = settings.database.sqlite_file
    if database is None or settings.storage.allow_network_filesystem:
        return
    found = network_filesystem(database.resolve(), mountinfo)
    if found is not None:
        message = (
            f"database: {database} lies on a network file system ({found}), where SQLite can lose data; "
            "use a local disk or PostgreSQL, or set storage.allow_network_filesystem"
        )
        raise CommandFailed(message, ExitCode.USAGE)


def warn(loaded: Loaded) -> None:
    """Log what is allowed and may still be a mistake."""
    settings = loaded.settings
    behind_tls = settings.tls.certificate is not None or (settings.public_url or "").startswith("https://")
    if not settings.listen.is_loopback and not behind_tls:
        logger.warning(
            "passwords and images travel unencrypted: %s can be reached from other machines and there is no TLS; "
            "set tls.certificate and tls.key, or public_url if a proxy does TLS",
            settings.listen,
        )
    if loaded.origins["database"].startswith("flag") and settings.database.has_password:
        logger.warning(
            "every user of this machine can see the database's password in the list of processes; "
            "use ENTREPOT_DATABASE_FILE instead of --database"
        )


@contextlib.contextmanager
def _directory_held(loaded: Loaded) -> Generator[None, None, None]:
    data = loaded.settings.data
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(data))
        except DirectoryInUseError as error:
            raise CommandFailed(f"data: {error} ({loaded.origins['data']})", ExitCode.USAGE) from error
        except OSError as error:
            message = f"data: cannot lock {data}: {error.strerror} ({loaded.origins['data']})"
            raise CommandFailed(message, ExitCode.USAGE) from error
        yield
