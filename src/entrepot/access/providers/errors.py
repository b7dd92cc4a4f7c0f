"""What goes wrong with identities that others vouch for; wrong credentials are ``Unauthorized`` as everywhere."""

from entrepot.oci import Denied, Unavailable


class ProviderUnavailable(Unavailable):
    """An identity provider or directory does not answer, or not as its protocol says (503); nobody is let in by that.

    ``reason`` begins with ``oidc-`` or ``ldap-``; the host stands in the log and not in the answer.
    """

    message = "the identity provider does not answer as it should; try again later"


class IdentityRefused(Denied):
    """The provider vouches for an account that cannot be used here; ``reason`` names its part.

    It is ``issuer``, ``subject``, ``name``, ``group`` or ``groups``.
    """

    message = "the account of the identity provider cannot be used here"
