"""Everything that a client of the registry can ask for, in one value."""

from dataclasses import dataclass

from entrepot.metadata import HotReads
from entrepot.registry.count_pulls import CountPulls
from entrepot.registry.deletions import DeleteBlob, DeleteManifest, DeleteTag
from entrepot.registry.finish_upload import FinishUpload
from entrepot.registry.lists import ListReferrers, ListRepositories, ListTags
from entrepot.registry.mount_blob import MountBlob
from entrepot.registry.pulls import PullBlob, PullManifest
from entrepot.registry.push_manifest import PushManifest
from entrepot.registry.uploads import CancelUpload, StartUpload, UploadStatus, WriteUpload


@dataclass(frozen=True, slots=True)
class Uses:
    """Everything that a client of the registry can ask for."""

    hot: HotReads
    pull_manifest: PullManifest
    pull_blob: PullBlob
    count_pulls: CountPulls
    start_upload: StartUpload
    write_upload: WriteUpload
    finish_upload: FinishUpload
    upload_status: UploadStatus
    cancel_upload: CancelUpload
    mount_blob: MountBlob
    push_manifest: PushManifest
    delete_tag: DeleteTag
    delete_manifest: DeleteManifest
    delete_blob: DeleteBlob
    list_tags: ListTags
    list_repositories: ListRepositories
    list_referrers: ListReferrers
