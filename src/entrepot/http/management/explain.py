"""``/explain``: why somebody may do something, or may not."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from entrepot.access import Action, Ground, Resource
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import RepositoryText
from entrepot.oci import RepositoryName

router = APIRouter(prefix="/explain", tags=["explain"])


class Explanation(BaseModel):
    """A decision: what allows it is the ``binding`` of that id, or the ``ground``; ``disabled`` is none of these."""

    allowed: bool
    ground: Ground | None
    binding: str | None
    disabled: bool


@router.get("")
async def explain(
    subject: Annotated[str, Query(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")],
    action: Action,
    repository: RepositoryText,
    who: Who,
    parts: Parts,
) -> Explanation:
    """Say whether ``subject`` (an account's name, or ``anonymous``) may do it, and what that rests on."""
    resource = Resource.repository(RepositoryName.parse(repository))
    decision = await parts.administration.explain(who, subject, action, resource)
    if decision is None:
        return Explanation(allowed=False, ground=None, binding=None, disabled=True)
    binding = None if decision.binding is None else decision.binding.uid
    return Explanation(allowed=decision.is_allowed, ground=decision.ground, binding=binding, disabled=False)
