"""Refusals of logins beyond wrong credentials, which are ``Unauthorized`` everywhere."""

from entrepot.oci import Denied, RegistryError, RequestInvalid


class AccountNameTaken(Denied):
    """A provider vouches for somebody whose name another account has here; the two are never made one."""

    message = "another account has the name of this login; an administrator has to rename one of them"


class LoginUnavailable(RequestInvalid):
    """This registry has no provider for this way to log in."""

    message = "this registry does not offer this way to log in"


class LoginPending(RequestInvalid):
    """The login was not completed in a browser yet (RFC 8628 section 3.5)."""

    message = "the login is not complete yet"


class LoginPendingSlower(LoginPending):
    """Likewise, and it was asked for too often."""

    message = "the login is not complete yet; ask five seconds less often"


class LoginDenied(Denied):
    """The login was declined in the browser."""

    message = "the login was declined"


class LoginExpired(RequestInvalid):
    """The login was not completed in time, or was completed and used already."""

    message = "the login is over; begin a new one"


class NameUnknownHere(RegistryError):
    """There is no account, group, project or the like of this name; ``kind`` and ``name`` say which."""

    code = "NAME_UNKNOWN"
    message = "there is none of this name"


class NameTaken(RegistryError):
    """Another one has the name; ``kind`` and ``name`` say which."""

    code = "DENIED"
    message = "the name is taken"


class NameUnsuitable(RequestInvalid):
    """No name that an account, group or project may have."""

    message = "this cannot be its name"


class LastAdministrator(RegistryError):
    """Nobody could administer the registry any more."""

    code = "DENIED"
    message = "this is the last administrator who is not disabled"


class ProjectHasContent(RegistryError):
    """A project cannot go while it has repositories or robots, nor be made over repositories without being told so."""

    code = "DENIED"
    message = "there are repositories or robots that belong to a project"


class RoleInUse(RegistryError):
    """A role cannot go while bindings give it to somebody."""

    code = "DENIED"
    message = "there are bindings with this role"


class VersionMismatch(RegistryError):
    """Somebody else changed it since it was read; ``version`` is that of now, ``expected`` the one that was read."""

    code = "DENIED"
    message = "it was changed meanwhile; read it again and repeat the change"
