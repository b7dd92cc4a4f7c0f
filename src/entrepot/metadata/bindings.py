"""Bindings: who has which role on which repositories of a project."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, delete, insert, literal, or_, select

from entrepot.metadata.access_tables import accounts, bindings, group_members, groups, roles
from entrepot.metadata.actors import Actor
from entrepot.metadata.tables import projects
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version


@dataclass(frozen=True, slots=True)
class BindingRow:
    """A binding. ``subject`` is ``account NAME``, ``group NAME``, ``authenticated`` or ``anonymous``.

    ``role_actions`` is what the row of the role holds (JSON), None where there is none, as for the built-in roles.
    """

    id: int
    uid: str
    subject: str
    project: str
    role: str
    role_actions: str | None
    repositories: str
    inherited: bool
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class NewBinding:
    """A binding to be made, for one account, one group, or a kind of everyone."""

    project_id: int
    role: str
    repositories: str
    inherited: bool
    subject_kind: str
    account_id: int | None = None
    group_id: int | None = None


_SELECT = (
    select(
        bindings.c.id,
        bindings.c.uid,
        bindings.c.subject_kind,
        accounts.c.name.label("account"),
        groups.c.name.label("group"),
        projects.c.name.label("project"),
        bindings.c.role,
        roles.c.actions.label("role_actions"),
        bindings.c.repositories,
        bindings.c.inherited,
        bindings.c.created_at,
        bindings.c.created_by_name,
    )
    .join(projects, projects.c.id == bindings.c.project_id)
    .outerjoin(accounts, accounts.c.id == bindings.c.account_id)
    .outerjoin(groups, groups.c.id == bindings.c.group_id)
    .outerjoin(roles, roles.c.name == bindings.c.role)
)


def bindings_for(tx: Transaction, account_id: int | None) -> list[BindingRow]:
    """What is bound to an account, to its groups and to everyone; None is whoever has no account."""
    counts = [bindings.c.subject_kind == "anonymous"]
    if account_id is not None:
        own_groups = select(group_members.c.group_id).where(group_members.c.account_id == account_id)
        counts += [
            bindings.c.subject_kind == "authenticated",
            bindings.c.account_id == account_id,
            bindings.c.group_id.in_(own_groups),
        ]
    return _rows(tx, _SELECT.where(or_(*counts)).order_by(bindings.c.id))


def list_bindings(
    tx: Transaction, after: int, at_most: int, *, project_id: int | None = None, account_id: int | None = None
) -> list[BindingRow]:
    """Up to ``at_most`` bindings with row numbers above ``after``, of one project or one account if asked."""
    chosen = [bindings.c.id > after]
    if project_id is not None:
        chosen.append(bindings.c.project_id == project_id)
    if account_id is not None:
        chosen.append(bindings.c.account_id == account_id)
    return _rows(tx, _SELECT.where(and_(*chosen)).order_by(bindings.c.id).limit(at_most))


def find_binding(tx: Transaction, uid: str) -> BindingRow | None:
    """The binding with that opaque id."""
    return next(iter(_rows(tx, _SELECT.where(bindings.c.uid == uid))), None)


def add_binding(tx: Transaction, new: NewBinding, actor: Actor) -> str:
    """Make a binding, or find the very same one; returns its uid."""
    same = select(bindings.c.uid).where(
        bindings.c.project_id == new.project_id,
        bindings.c.role == new.role,
        bindings.c.repositories == new.repositories,
        bindings.c.inherited == literal(new.inherited),
        bindings.c.subject_kind == new.subject_kind,
        bindings.c.account_id.is_not_distinct_from(new.account_id),
        bindings.c.group_id.is_not_distinct_from(new.group_id),
    )
    found = tx.execute(same.limit(1)).scalar_one_or_none()
    if found is not None:
        return str(found)
    uid = secrets.token_hex(16)
    tx.execute(
        insert(bindings).values(
            uid=uid,
            project_id=new.project_id,
            subject_kind=new.subject_kind,
            account_id=new.account_id,
            group_id=new.group_id,
            role=new.role,
            repositories=new.repositories,
            inherited=new.inherited,
            created_at=tx.now,
            **actor.columns("created_by"),
        )
    )
    move_access_version(tx)
    return uid


def remove_binding(tx: Transaction, uid: str) -> bool:
    """Take a binding away; False if there is none."""
    removed = tx.execute(delete(bindings).where(bindings.c.uid == uid)).rowcount
    if removed:
        move_access_version(tx)
    return bool(removed)


def _rows(tx: Transaction, statement: Select[*tuple[Any, ...]]) -> list[BindingRow]:
    return [
        BindingRow(
            row.id,
            row.uid,
            _subject(row.subject_kind, row.account, row.group),
            row.project,
            row.role,
            row.role_actions,
            row.repositories,
            bool(row.inherited),
            row.created_at,
            row.created_by_name,
        )
        for row in tx.execute(statement)
    ]


def _subject(kind: str, account: str | None, group: str | None) -> str:
    name = account or group
    return kind if name is None else f"{kind} {name}"
