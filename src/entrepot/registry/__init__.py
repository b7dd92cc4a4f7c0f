"""The protocol's uses: resolve, pull, push, mount, tag, list, delete."""

from entrepot.registry.count_pulls import CountPulls
from entrepot.registry.deletions import DeleteBlob, DeleteManifest, DeleteTag
from entrepot.registry.finish_upload import FinishUpload
from entrepot.registry.limits import UploadLimits
from entrepot.registry.lists import ListReferrers, ListRepositories, ListTags, Page
from entrepot.registry.mount_blob import MountBlob
from entrepot.registry.objects import LATE_WRITER
from entrepot.registry.pulls import ManifestCache, PullBlob, PullManifest
from entrepot.registry.push_manifest import Condition, ManifestPush, PushedManifest, PushManifest
from entrepot.registry.uploads import CancelUpload, StartUpload, UploadStatus, WriteUpload
from entrepot.registry.uses import Uses

__all__ = [
    "LATE_WRITER",
    "CancelUpload",
    "Condition",
    "CountPulls",
    "DeleteBlob",
    "DeleteManifest",
    "DeleteTag",
    "FinishUpload",
    "ListReferrers",
    "ListRepositories",
    "ListTags",
    "ManifestCache",
    "ManifestPush",
    "MountBlob",
    "Page",
    "PullBlob",
    "PullManifest",
    "PushManifest",
    "PushedManifest",
    "StartUpload",
    "UploadLimits",
    "UploadStatus",
    "Uses",
    "WriteUpload",
]
