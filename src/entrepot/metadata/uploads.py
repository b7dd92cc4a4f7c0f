"""Upload sessions: what of an upload is durable, and who may go on with it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, func, insert, select, update

from entrepot.metadata.dialect import per_dialect
from entrepot.metadata.port import StoredObject
from entrepot.metadata.tables import repositories, upload_objects, upload_sessions
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Algorithm, Digest


@dataclass(frozen=True, slots=True)
class UploadSession:
    """A session's row: ``offset`` bytes are durable, hashed up to there in ``hash_state``, in ``objects`` in order."""

    id: str
    repository_id: int
    principal: str
    epoch: int
    offset: int
    algorithm: Algorithm
    hash_state: bytes | None
    writing: bool
    expires_at: datetime
    finished_digest: Digest | None
    objects: tuple[StoredObject, ...]


_OPEN = select(func.count()).select_from(
    select(upload_sessions.c.id)
    .where(
        upload_sessions.c.principal == bindparam("p_principal"),
        upload_sessions.c.finished_digest.is_(None),
        upload_sessions.c.expires_at > bindparam("p_now"),
    )
    .limit(bindparam("p_at_most"))
    .subquery()
)
_ADD_SESSION = insert(upload_sessions)
_ADD_OBJECT = insert(upload_objects)
_CLAIM = (
    update(upload_sessions)
    .where(upload_sessions.c.id == bindparam("p_id"))
    .values(epoch=bindparam("p_epoch"), writing=True)
)
_RECORD = (
    update(upload_sessions)
    .where(
        upload_sessions.c.id == bindparam("p_id"),
        upload_sessions.c.epoch == bindparam("p_epoch"),
        upload_sessions.c.finished_digest.is_(None),
    )
    .values(
        offset=bindparam("p_offset"),
        hash_state=bindparam("p_hash_state"),
        writing=bindparam("p_writing"),
        expires_at=bindparam("p_expires_at"),
    )
)
_FINISH = (
    update(upload_sessions)
    .where(
        upload_sessions.c.id == bindparam("p_id"),
        upload_sessions.c.epoch == bindparam("p_epoch"),
        upload_sessions.c.finished_digest.is_(None),
    )
    .values(finished_digest=bindparam("p_digest"), writing=False, hash_state=None, expires_at=bindparam("p_expires_at"))
)
_GROW = update(upload_objects).where(upload_objects.c.key == bindparam("p_key")).values(size=bindparam("p_size"))
_FORGET_OBJECTS = delete(upload_objects).where(upload_objects.c.session_id == bindparam("p_id"))
_SESSION = select(upload_sessions).where(upload_sessions.c.id == bindparam("session_id"))
_LOCKED_SESSION = per_dialect(lambda dialect: dialect.for_update(_SESSION))
_OBJECTS = (
    select(upload_objects.c.store_id, upload_objects.c.key, upload_objects.c.size)
    .where(upload_objects.c.session_id == bindparam("session_id"))
    .order_by(upload_objects.c.ordinal)
)


def count_open_sessions(tx: Transaction, principal: str, at_most: int) -> int:
    """How many sessions of the principal are open and have not expired, counted up to ``at_most``."""
    parameters = {"p_principal": principal, "p_now": tx.now, "p_at_most": at_most}
    return tx.execute(_OPEN, parameters).scalar_one()


def count_uploads(tx: Transaction) -> int:
    """How many sessions are open and have not expired, for the operator."""
    return tx.execute(select(func.count()).select_from(upload_sessions).where(_is_open(tx))).scalar_one()


def open_session(
    tx: Transaction,
    session_id: str,
    repository_id: int,
    principal: str,
    algorithm: Algorithm,
    first: StoredObject,
    lifetime: timedelta,
) -> None:
    """Record a new session and its first object, before any byte of it is written."""
    tx.execute(
        _ADD_SESSION,
        {
            "id": session_id,
            "repository_id": repository_id,
            "principal": principal,
            "epoch": 0,
            "offset": 0,
            "algorithm": algorithm.value,
            "writing": False,
            "created_at": tx.now,
            "expires_at": tx.now + lifetime,
        },
    )
    add_object(tx, session_id, 0, first)


def add_object(tx: Transaction, session_id: str, ordinal: int, piece: StoredObject) -> None:
    """Record a further object of a session, before any byte of it is written."""
    tx.execute(
        _ADD_OBJECT,
        {
            "session_id": session_id,
            "ordinal": ordinal,
            "store_id": piece.store_id,
            "key": piece.key,
            "size": piece.size,
        },
    )


def find_session(tx: Transaction, session_id: str, *, lock: bool = False) -> UploadSession | None:
    """The session, or None if it is unknown; ``lock`` keeps others from changing it until commit.

    One whose time is over is there until the collection has removed it, which does not trust a clock that was set.
    """
    statement = _LOCKED_SESSION(tx.dialect) if lock else _SESSION
    row = tx.execute(statement, {"session_id": session_id}).one_or_none()
    return None if row is None else _session(tx, row)


def expired_sessions(tx: Transaction, until: datetime, at_most: int) -> list[tuple[UploadSession, str]]:
    """Up to ``at_most`` sessions whose time was over at ``until``, with the names of their repositories.

    Each is locked until commit; those that others hold are left out.
    """
    expired = select(upload_sessions).where(upload_sessions.c.expires_at <= until)
    rows = tx.execute(
        tx.dialect.for_update(expired.order_by(upload_sessions.c.expires_at).limit(at_most), skip_locked=True)
    ).all()
    numbers = {row.repository_id for row in rows}
    named = tx.execute(select(repositories.c.id, repositories.c.name).where(repositories.c.id.in_(numbers)))
    names = {row.id: row.name for row in named}
    return [(_session(tx, row), names[row.repository_id]) for row in rows]


def sessions_of(tx: Transaction, repository_id: int, at_most: int) -> list[UploadSession]:
    """Up to ``at_most`` sessions of a repository, locked until commit."""
    chosen = select(upload_sessions).where(upload_sessions.c.repository_id == repository_id)
    rows = tx.execute(tx.dialect.for_update(chosen.order_by(upload_sessions.c.id).limit(at_most))).all()
    return [_session(tx, row) for row in rows]


def claim_session(tx: Transaction, session: UploadSession) -> UploadSession:
    """Become the session's only writer: writers of earlier epochs can change its row no more."""
    tx.execute(_CLAIM, {"p_id": session.id, "p_epoch": session.epoch + 1})
    return replace(session, epoch=session.epoch + 1, writing=True)


def checkpoint_session(
    tx: Transaction, session: UploadSession, hash_state: bytes | None, *, writing: bool, lifetime: timedelta
) -> bool:
    """Record how far the session's bytes are durable; False if another writer has taken over since.

    ``session`` carries the new offset and objects, of which only the last one has grown.
    """
    changed = tx.execute(
        _RECORD,
        {
            "p_id": session.id,
            "p_epoch": session.epoch,
            "p_offset": session.offset,
            "p_hash_state": hash_state,
            "p_writing": writing,
            "p_expires_at": tx.now + lifetime,
        },
    ).rowcount
    if changed != 1:
        return False
    last = session.objects[-1]
    tx.execute(_GROW, {"p_key": last.key, "p_size": last.size})
    return True


def finish_session(tx: Transaction, session: UploadSession, digest: Digest, answer_until: datetime) -> bool:
    """End the session as finished, its objects now belonging elsewhere; False if another writer has taken over."""
    changed = tx.execute(
        _FINISH,
        {"p_id": session.id, "p_epoch": session.epoch, "p_digest": digest, "p_expires_at": answer_until},
    ).rowcount
    if changed != 1:
        return False
    tx.execute(_FORGET_OBJECTS, {"p_id": session.id})
    return True


def remove_session(tx: Transaction, session: UploadSession) -> None:
    """Forget a session; its objects must be handed on by the caller."""
    tx.execute(_FORGET_OBJECTS, {"p_id": session.id})
    tx.execute(delete(upload_sessions).where(upload_sessions.c.id == session.id))


def _is_open(tx: Transaction) -> ColumnElement[bool]:
    return and_(upload_sessions.c.finished_digest.is_(None), upload_sessions.c.expires_at > tx.now)


def _session(tx: Transaction, row: Row[*tuple[object, ...]]) -> UploadSession:
    objects = tx.execute(_OBJECTS, {"session_id": row.id})
    return UploadSession(
        id=row.id,
        repository_id=row.repository_id,
        principal=row.principal,
        epoch=row.epoch,
        offset=row.offset,
        algorithm=Algorithm(row.algorithm),
        hash_state=row.hash_state,
        writing=row.writing,
        expires_at=row.expires_at,
        finished_digest=row.finished_digest,
        objects=tuple(StoredObject(piece.store_id, piece.key, piece.size) for piece in objects),
    )
