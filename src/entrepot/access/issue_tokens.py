"""Tokens for credentials that were found good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from entrepot.access.authorize import Authorizer
from entrepot.access.credentials import CredentialKind
from entrepot.access.principals import Caller, PrincipalKind
from entrepot.access.scopes import Scope
from entrepot.access.stored_credentials import StoredCredentials
from entrepot.access.tokens import IssuedToken, TokenIssuer
from entrepot.secrets import Secret


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, what it carries, and a refresh token where one was asked for and may be had."""

    token: IssuedToken
    scopes: Sequence[Scope]
    refresh_token: Secret | None


@dataclass(frozen=True, slots=True)
class IssueTokens:
    """Issue a token that carries what is asked for and allowed.

    Refresh tokens last for ``refresh_lifetime`` and stay the same when they are used: docker and containerd use one in
    many requests at once, and the second of them would be left with one that is used up.
    """

    authorizer: Authorizer
    issuer: TokenIssuer
    credentials: StoredCredentials
    refresh_lifetime: timedelta

    async def __call__(self, caller: Caller, scopes: Sequence[Scope], *, offline_for: str | None = None) -> Issued:
        """Issue for ``caller``; with the name of a client in ``offline_for`` also a refresh token, called by it.

        Raises Unauthorized where the caller's account no longer counts, Unavailable.
        """
        refresh_token = None
        if offline_for is not None and _may_refresh(caller):
            refresh_token = await self.credentials.make(
                CredentialKind.REFRESH, caller, offline_for, self.refresh_lifetime
            )
        granted = await self.authorizer.granted(caller, scopes)
        token = self.issuer.issue(caller.principal, granted, credential=caller.credential)
        return Issued(token, granted, refresh_token)


def _may_refresh(caller: Caller) -> bool:
    """Whether to give a refresh token: to people, and to robots with a secret of their own, which it ends with.

    A workload brings a token of its own system each time, for what that says is true for minutes only.
    """
    match caller.principal.kind:
        case PrincipalKind.ANONYMOUS:
            return False
        case PrincipalKind.ROBOT:
            return bool(caller.credential)
        case PrincipalKind.USER:
            return True
