"""Refusals of logins beyond wrong credentials, which are ``Unauthorized`` everywhere."""

from entrepot.oci import Denied, RequestInvalid


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
