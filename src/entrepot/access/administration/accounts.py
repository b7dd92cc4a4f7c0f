"""Accounts by their names, as every use of administration finds them."""

from entrepot.access.administration.which import ById, Which
from entrepot.access.errors import NameUnknownHere, NameUnsuitable
from entrepot.access.onboarding import NAME_CHARACTERS_AT_MOST, is_account_name
from entrepot.access.principals import ANONYMOUS
from entrepot.metadata import AccountRow, Transaction, find_account, find_account_by_name

PAGE = 1000  # rows of a list that are read at once


def account_named(tx: Transaction, which: Which, kind: str | None = None) -> AccountRow:
    """The account that is meant, a ``user`` or a ``robot`` if it must be one; raises NameUnknownHere."""
    account = find_account(tx, which.uid) if isinstance(which, ById) else find_account_by_name(tx, which)
    if account is None or kind not in {None, account.kind}:
        raise NameUnknownHere(kind=kind or "account", name=str(which))
    return account


def check_account_name(name: str) -> None:
    """Refuse a name that no account may have; raises NameUnsuitable."""
    if not is_account_name(name) or name.startswith("_") or name == ANONYMOUS.name:
        raise NameUnsuitable(reason="name", name=name, characters_at_most=NAME_CHARACTERS_AT_MOST)
