"""Tags: where each stands, and where it stood."""

from datetime import timedelta

from sqlalchemy import bindparam, delete, insert, select, update

from entrepot.metadata.actors import Actor
from entrepot.metadata.dialect import per_dialect
from entrepot.metadata.manifests import StoredManifest, release_manifests
from entrepot.metadata.reviews import Event
from entrepot.metadata.tables import manifests, tag_history, tags
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest, Tag, version_key

_TAG = select(tags.c.manifest_id).where(
    tags.c.repository_id == bindparam("repository_id"), tags.c.name == bindparam("tag_name")
)
_LOCKED_TAG = per_dialect(lambda dialect: dialect.for_update(_TAG))
_OFFER = per_dialect(
    lambda dialect: (
        dialect.insert(tags).on_conflict_do_nothing(index_elements=["repository_id", "name"]).returning(tags.c.name)
    )
)
_ADD_HISTORY = insert(tag_history)
_STANDS = (
    select(manifests.c.digest)
    .join(tags, manifests.c.id == tags.c.manifest_id)
    .where(tags.c.repository_id == bindparam("repository_id"), tags.c.name == bindparam("tag_name"))
)
_LIST = (
    select(tags.c.name)
    .where(tags.c.repository_id == bindparam("repository_id"), tags.c.name > bindparam("last"))
    .order_by(tags.c.name)
    .limit(bindparam("at_most"))
)


def find_tag(tx: Transaction, repository_id: int, tag: Tag, *, lock: bool = False) -> Digest | None:
    """The digest that the tag stands on, or None; ``lock`` keeps it there until commit."""
    parameters = {"repository_id": repository_id, "tag_name": tag.text}
    # A statement of its own: joined to manifests, PostgreSQL would lose a tag that moved while it waited for it.
    if lock and tx.execute(_LOCKED_TAG(tx.dialect), parameters).one_or_none() is None:
        return None
    return tx.execute(_STANDS, parameters).scalar_one_or_none()


def create_tag(tx: Transaction, repository_id: int, tag: Tag, manifest: StoredManifest, actor: Actor) -> bool:
    """Set a tag that is not there and write its history; False if another push has just set it."""
    made = tx.execute(
        _OFFER(tx.dialect),
        {
            "repository_id": repository_id,
            "name": tag.text,
            "manifest_id": manifest.id,
            "version": 1,
            "created_at": tx.now,
            "moved_at": tx.now,
            "version_key": version_key(tag),
        },
    ).scalar_one_or_none()
    if made is None:
        return False
    _record_move(tx, repository_id, tag, None, manifest.digest, actor)
    return True


def move_tag(
    tx: Transaction,
    repository_id: int,
    tag: Tag,
    manifest: StoredManifest,
    was: Digest,
    actor: Actor,
    lease: timedelta,
) -> None:
    """Let a tag that stands on ``was`` stand on the manifest and write its history, unless that is the same.

    The manifest that it leaves stays for at least ``lease``.
    """
    if was == manifest.digest:
        return
    _release(tx, repository_id, was, lease)
    tx.execute(
        update(tags)
        .where(tags.c.repository_id == repository_id, tags.c.name == tag.text)
        .values(manifest_id=manifest.id, version=tags.c.version + 1, moved_at=tx.now)
    )
    _record_move(tx, repository_id, tag, was, manifest.digest, actor)


def remove_tag(tx: Transaction, repository_id: int, tag: Tag, was: Digest, actor: Actor, lease: timedelta) -> None:
    """Take the tag away and write its history; its manifest stays for at least ``lease``."""
    _release(tx, repository_id, was, lease)
    tx.execute(delete(tags).where(tags.c.repository_id == repository_id, tags.c.name == tag.text))
    _record_move(tx, repository_id, tag, was, None, actor)


def tags_on(tx: Transaction, repository_id: int, manifest_id: int) -> list[Tag]:
    """Every tag that stands on the manifest, locked until commit, in byte order."""
    rows = tx.execute(
        tx.dialect.for_update(
            select(tags.c.name)
            .where(tags.c.repository_id == repository_id, tags.c.manifest_id == manifest_id)
            .order_by(tags.c.name)
        )
    ).scalars()
    return [Tag(name) for name in rows]


def list_tags(tx: Transaction, repository_id: int, last: str, at_most: int) -> list[Tag]:
    """Up to ``at_most`` tags after ``last``, in byte order."""
    rows = tx.execute(_LIST, {"repository_id": repository_id, "last": last, "at_most": at_most}).scalars()
    return [Tag(name) for name in rows]


def _release(tx: Transaction, repository_id: int, digest: Digest, lease: timedelta) -> None:
    left = tx.execute(
        select(manifests.c.id).where(manifests.c.repository_id == repository_id, manifests.c.digest == digest)
    )
    release_manifests(tx, list(left.scalars()), Event.TAG_GONE, lease)


def _record_move(
    tx: Transaction, repository_id: int, tag: Tag, was: Digest | None, now: Digest | None, actor: Actor
) -> None:
    tx.execute(
        _ADD_HISTORY,
        {
            "repository_id": repository_id,
            "tag": tag.text,
            "from_digest": was,
            "to_digest": now,
            "at": tx.now,
            **actor.columns("actor"),
        },
    )
