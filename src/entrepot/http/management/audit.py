"""``/audit``: who did what, who logged in, and who was refused."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel

from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import ByName
from entrepot.http.management.pages import Page, Paged
from entrepot.metadata import AuditFilter, AuditRow

router = APIRouter(prefix="/audit", tags=["audit"])


class Entry(BaseModel):
    """Who did what to what, from where, with which token; ``times`` counts refusals of one minute together."""

    at: datetime
    actor_kind: str
    actor_id: str
    actor: str
    address: str
    credential: str
    action: str
    repository: str
    reference: str
    outcome: Literal["done", "refused"]
    times: int
    detail: dict[str, str | int]


def wanted_rows(
    actor: Annotated[ByName, Query(description="Of this name.")] = None,
    action: Annotated[ByName, Query(description="This action, such as `login` or `tag.delete`.")] = None,
    repository: Annotated[ByName, Query(description="About this repository.")] = None,
    address: Annotated[ByName, Query(description="From this address.")] = None,
    outcome: Annotated[Literal["done", "refused"] | None, Query(description="Only these.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Not before.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before.")] = None,
) -> AuditFilter:
    """Which rows a request asks for."""
    return AuditFilter(actor, action, repository, outcome, address, since, until)


@router.get("")
async def list_audit(
    who: Who, parts: Parts, paging: Paged, wanted: Annotated[AuditFilter, Depends(wanted_rows)]
) -> Page[Entry]:
    """List what was recorded, newest first."""
    before = int(paging.after) if paging.after else None
    found = await parts.administration.audit.page(who, wanted, before, paging.one_more)
    return paging.page([_entry(one) for one in found], [str(one.id) for one in found])


def _entry(row: AuditRow) -> Entry:
    return Entry.model_validate(
        {
            "at": row.at,
            "actor_kind": row.actor.kind,
            "actor_id": row.actor.id,
            "actor": row.actor.name,
            "address": row.actor.address,
            "credential": row.actor.credential,
            "action": row.action,
            "repository": row.repository,
            "reference": row.reference,
            "outcome": row.outcome,
            "times": row.times,
            "detail": row.detail,
        }
    )
