"""Content over time: what is collected, when, and why."""

from entrepot.lifecycle.clock import Clock, DatabaseClock, HostClock
from entrepot.lifecycle.collect_garbage import Collected, CollectGarbage
from entrepot.lifecycle.collection_status import CollectionStatus, ReadCollectionStatus
from entrepot.lifecycle.delete_objects import Deleted, DeleteObjects
from entrepot.lifecycle.delete_repository import DeleteRepository, RepositoryPlan
from entrepot.lifecycle.expire_uploads import ExpireUploads
from entrepot.lifecycle.plan_collection import PlanCollection, Planned, would_go
from entrepot.lifecycle.policy import Policy
from entrepot.lifecycle.queue_unqueued import QueueUnqueued
from entrepot.lifecycle.repositories import Repositories, RepositoryPage
from entrepot.lifecycle.review import Blobs, Links, Manifests, ReviewBatch, Reviewed
from entrepot.lifecycle.rules import Outcome, Reason, Verdict
from entrepot.lifecycle.sweep_store import SweepRefused, SweepStore
from entrepot.lifecycle.trim_pulls import TrimPulls

__all__ = [
    "Blobs",
    "Clock",
    "CollectGarbage",
    "Collected",
    "CollectionStatus",
    "DatabaseClock",
    "DeleteObjects",
    "DeleteRepository",
    "Deleted",
    "ExpireUploads",
    "HostClock",
    "Links",
    "Manifests",
    "Outcome",
    "PlanCollection",
    "Planned",
    "Policy",
    "QueueUnqueued",
    "ReadCollectionStatus",
    "Reason",
    "Repositories",
    "RepositoryPage",
    "RepositoryPlan",
    "ReviewBatch",
    "Reviewed",
    "SweepRefused",
    "SweepStore",
    "TrimPulls",
    "Verdict",
    "would_go",
]
