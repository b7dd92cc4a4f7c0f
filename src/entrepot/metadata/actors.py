"""Who did something, as a snapshot that outlives the account."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import insert

from entrepot.metadata.tables import audit
from entrepot.metadata.transaction import Transaction

_ADD = insert(audit)


@dataclass(frozen=True, slots=True)
class Actor:
    """The kind (``user``, ``anonymous``), opaque id and name of whoever acts.

    ``address`` is where it came from and ``credential`` the id of the token or secret that it showed; empty where there
    is none.
    """

    kind: str
    id: str
    name: str
    address: str = field(default="", compare=False)
    credential: str = field(default="", compare=False)

    def columns(self, prefix: str) -> dict[str, str]:
        """The snapshot's values for the columns ``<prefix>_kind``, ``<prefix>_id`` and ``<prefix>_name``."""
        return {f"{prefix}_kind": self.kind, f"{prefix}_id": self.id, f"{prefix}_name": self.name}


def record_audit(
    tx: Transaction,
    actor: Actor,
    action: str,
    repository: str,
    reference: str,
    detail: Mapping[str, str | int] | None = None,
) -> None:
    """Write who did what to what, in the transaction that does it."""
    record_audits(tx, actor, action, [(repository, reference)], detail)


def record_audits(
    tx: Transaction,
    actor: Actor,
    action: str,
    about: Iterable[tuple[str, str]],
    detail: Mapping[str, str | int] | None = None,
) -> None:
    """Write who did the same to many things, each given by its repository and reference; there is one at least."""
    row = {
        "at": tx.now,
        "action": action,
        "detail": json.dumps(dict(detail or {}), sort_keys=True),
        "address": actor.address,
        "credential": actor.credential,
        **actor.columns("actor"),
    }
    tx.execute(_ADD, [{**row, "repository": repository, "reference": reference} for repository, reference in about])
