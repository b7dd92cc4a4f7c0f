"""The protocol's uses over one database and one store."""

from entrepot.metadata import (
    Database,
)
from entrepot.registry import (
    CancelUpload,
    CountPulls,
    DeleteBlob,
    DeleteManifest,
    DeleteTag,
    FinishUpload,
    ListReferrers,
    ListRepositories,
    ListTags,
    ManifestCache,
    MountBlob,
    PullBlob,
    PullManifest,
    PushManifest,
    StartUpload,
    UploadLimits,
    UploadStatus,
    Uses,
    WriteUpload,
)
from entrepot.settings import MissingBlobs, Settings
from entrepot.storage import BlobStore


def uses_of(settings: Settings, database: Database, store: BlobStore) -> Uses:
    """The uses over one database and one store."""
    given = settings.uploads
    limits = UploadLimits(
        session_lifetime=given.session_lifetime,
        sessions_at_most=given.sessions_at_most_per_principal,
        retry_window=given.retry_window,
        lease=given.lease,
        checkpoint_bytes=given.checkpoint_bytes,
        checkpoint_interval=given.checkpoint_interval,
        blob_bytes_at_most=given.blob_bytes_at_most,
    )
    write_upload = WriteUpload(database, store, limits)
    return Uses(
        hot=database.hot,
        pull_manifest=PullManifest(database, ManifestCache(settings.manifests.cache_bytes), limits.lease),
        pull_blob=PullBlob(database, store, limits.lease),
        count_pulls=CountPulls(database),
        start_upload=StartUpload(database, limits),
        write_upload=write_upload,
        finish_upload=FinishUpload(database, store, limits, write_upload),
        upload_status=UploadStatus(database),
        cancel_upload=CancelUpload(database, store),
        mount_blob=MountBlob(database, limits),
        push_manifest=PushManifest(
            database, limits.lease, accept_missing_blobs=settings.manifests.missing_blobs is MissingBlobs.ACCEPT
        ),
        delete_tag=DeleteTag(database, limits.lease),
        delete_manifest=DeleteManifest(database, limits.lease),
        delete_blob=DeleteBlob(database),
        list_tags=ListTags(database),
        list_repositories=ListRepositories(database),
        list_referrers=ListReferrers(database),
    )
