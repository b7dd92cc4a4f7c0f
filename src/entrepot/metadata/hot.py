"""The statements of every request, written for both databases at once, and what their rows mean.

A placeholder is ``?``; an adapter whose driver wants another puts that in, and for ``{now}`` what gives the database's
time in microseconds. Hidden rows and repositories that are not
active count as absent, and so does the row of versions never.
"""

from collections.abc import Sequence
from typing import Any

from entrepot.metadata.port import (
    BlobKey,
    ManifestKey,
    RepositoryKey,
    ResolvedBlob,
    ResolvedManifest,
    StoredObject,
    UserRow,
)
from entrepot.metadata.types import digest_from_bytes, instant_from_microseconds
from entrepot.oci import Unavailable

ACCESS_VERSION = "SELECT access_version FROM versions WHERE id = 1"

FIND_USER = "SELECT uid, name, password_hash, is_admin, disabled_at FROM accounts WHERE kind = 'user' AND name = ?"

RESOLVE_TAG = """
SELECT v.access_version, v.policy_version, r.id, r.project_id, m.id, m.digest, m.media_type, m.size, m.lease_until,
       {now}
FROM versions v
LEFT JOIN repositories r ON r.name = ? AND r.state = 'active'
LEFT JOIN tags t ON t.repository_id = r.id AND t.name = ?
LEFT JOIN manifests m ON m.id = t.manifest_id AND m.hidden_at IS NULL
WHERE v.id = 1
"""

RESOLVE_DIGEST = """
SELECT v.access_version, v.policy_version, r.id, r.project_id, m.id, m.digest, m.media_type, m.size, m.lease_until,
       {now}
FROM versions v
LEFT JOIN repositories r ON r.name = ? AND r.state = 'active'
LEFT JOIN manifests m ON m.repository_id = r.id AND m.digest = ? AND m.hidden_at IS NULL
WHERE v.id = 1
"""

FIND_BLOB = """
SELECT v.access_version, v.policy_version, r.id, r.project_id, l.blob_id, b.digest, b.size, b.state, l.lease_until,
       {now}, o.store_id, o.key, o.size
FROM versions v
LEFT JOIN repositories r ON r.name = ? AND r.state = 'active'
LEFT JOIN blobs b ON b.digest = ?
LEFT JOIN repository_blobs l ON l.repository_id = r.id AND l.blob_id = b.id AND l.hidden_at IS NULL
LEFT JOIN blob_objects o ON o.blob_id = l.blob_id
WHERE v.id = 1
ORDER BY o.ordinal
"""


def version_of(rows: Sequence[Sequence[Any]]) -> int:
    """What ACCESS_VERSION answered; raises Unavailable without the row of versions."""
    return int(_first(rows)[0])


def user_of(rows: Sequence[Sequence[Any]]) -> UserRow | None:
    """What FIND_USER answered."""
    if not rows:
        return None
    uid, name, password_hash, is_admin, disabled_at = rows[0]
    return UserRow(uid, name, password_hash, bool(is_admin), disabled_at is not None)


def manifest_of(rows: Sequence[Sequence[Any]]) -> ResolvedManifest:
    """What RESOLVE_TAG or RESOLVE_DIGEST answered; raises Unavailable without the row of versions."""
    access, policy, repository, project, manifest, digest, media_type, size, lease_until, now = _first(rows)
    return ResolvedManifest(
        access,
        policy,
        None if repository is None else RepositoryKey(repository, project),
        None
        if manifest is None
        else ManifestKey(
            manifest,
            digest_from_bytes(digest),
            media_type,
            size,
            instant_from_microseconds(lease_until),
            instant_from_microseconds(now),
        ),
    )


def blob_of(rows: Sequence[Sequence[Any]]) -> ResolvedBlob:
    """What FIND_BLOB answered, a row for each object; raises Unavailable without the row of versions."""
    access, policy, repository, project, blob, digest, size, state, lease_until, now, *_ = _first(rows)
    return ResolvedBlob(
        access,
        policy,
        None if repository is None else RepositoryKey(repository, project),
        None
        if blob is None
        else BlobKey(
            blob,
            digest_from_bytes(digest),
            size,
            state,
            instant_from_microseconds(lease_until),
            tuple(StoredObject(*row[10:]) for row in rows if row[10] is not None),
            instant_from_microseconds(now),
        ),
    )


def _first(rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
    if not rows:
        raise Unavailable(reason="no-versions")
    return rows[0]
