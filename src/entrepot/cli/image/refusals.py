"""The client's errors as the ends of commands: which exit code each has."""

from collections.abc import Mapping
from typing import Final

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.client.errors import (
    ClientError,
    ConfigurationInvalid,
    CredentialStoreFailed,
    Forbidden,
    IntegrityFailure,
    LoginRequired,
    NetworkFailure,
    NotFound,
    OriginBlocked,
    RateLimited,
    ReferenceInvalid,
    TagExists,
)

EXIT_CODES: Final[Mapping[type[ClientError], ExitCode]] = {
    ConfigurationInvalid: ExitCode.USAGE,
    CredentialStoreFailed: ExitCode.LOGIN,
    Forbidden: ExitCode.FORBIDDEN,
    IntegrityFailure: ExitCode.INTEGRITY,
    LoginRequired: ExitCode.LOGIN,
    NetworkFailure: ExitCode.NETWORK,
    NotFound: ExitCode.NOT_FOUND,
    OriginBlocked: ExitCode.POLICY,
    RateLimited: ExitCode.RATE_LIMITED,
    ReferenceInvalid: ExitCode.USAGE,
    TagExists: ExitCode.POLICY,
    ClientError: ExitCode.OTHER,
}
"""The code of a class holds for its subclasses, too."""


def exit_code_of(error: ClientError) -> ExitCode:
    """The exit code of the nearest class in the table."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def failure_of(error: ClientError) -> CommandFailed:
    """How a command ends with this error: its four parts, a line each."""
    return CommandFailed("\n".join(error.lines()), exit_code_of(error))
