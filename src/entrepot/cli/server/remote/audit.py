"""The audit elsewhere, by the call that there is on the data itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from entrepot.access.administration import Authority
from entrepot.cli.server.remote.api import API, needed_instant
from entrepot.metadata import Actor, AuditFilter, AuditRow


@dataclass(frozen=True, slots=True)
class RemoteAudit:
    """Audit rows; who reads is known by the credentials of the call."""

    api: API

    async def page(self, _by: Authority, wanted: AuditFilter, before: int | None, at_most: int) -> list[AuditRow]:
        """The newest rows, all ``at_most`` of them at once: none are before those."""
        if before is not None:
            return []
        query = {
            "actor": wanted.actor,
            "action": wanted.action,
            "repository": wanted.repository,
            "address": wanted.address,
            "outcome": wanted.outcome,
            "since": None if wanted.since is None else wanted.since.isoformat(),
            "until": None if wanted.until is None else wanted.until.isoformat(),
        }
        found = await self.api.call("GET", "/audit", limit=at_most, **query)
        return list(starmap(_row, enumerate(found["items"], start=1)))


def _row(number: int, one: Mapping[str, Any]) -> AuditRow:
    actor = Actor(one["actor_kind"], one["actor_id"], one["actor"], one["address"], one["credential"])
    return AuditRow(
        number,
        needed_instant(one["at"]),
        actor,
        one["action"],
        one["repository"],
        one["reference"],
        one["outcome"],
        one["times"],
        one["detail"],
    )
