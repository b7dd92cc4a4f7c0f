"""The collection as jobs: working off what is due, and searching the store for what no row knows."""

from datetime import timedelta
from typing import Final

from entrepot.jobs.kinds import FailedForGood, JobKind, JobRun
from entrepot.lifecycle import CollectGarbage, QueueUnqueued, SweepRefused, SweepStore, TrimPulls

_COLLECTION_AT_MOST: Final = timedelta(hours=6)
_SWEEP_AT_MOST: Final = timedelta(hours=24)


def collect_kind(collect: CollectGarbage, schedule: str) -> JobKind:
    """The kind ``gc.collect``: review what is due and delete the bytes of what has gone."""

    async def work(run: JobRun) -> None:
        collected = await collect(run.progress)
        gone = {
            "uploads": collected.uploads,
            "manifests": collected.manifests.collected,
            "links": collected.links.collected,
            "blobs": collected.blobs.collected,
            "objects": collected.objects.objects,
            "bytes": collected.objects.bytes,
        }
        if any(gone.values()):
            run.log("collected", **gone)
        if collected.failures:
            run.warn("some reviews or deletions failed and will be tried again", failures=collected.failures)

    return JobKind("gc.collect", work, schedule=schedule, timeout=_COLLECTION_AT_MOST)


def sweep_kind(queue_unqueued: QueueUnqueued, trim_pulls: TrimPulls, sweep: SweepStore, schedule: str) -> JobKind:
    """The kind ``gc.sweep``: look at everything.

    Queue what no event has queued, forget old pulls, and compare every object in the store with the rows.
    """

    async def work(run: JobRun) -> None:
        queued = await queue_unqueued()
        if any(queued.values()):
            run.log("queued what no event had queued", **{queue.value: number for queue, number in queued.items()})
        await trim_pulls()
        try:
            seen, unknown = await sweep()
        except SweepRefused as refusal:
            raise FailedForGood(str(refusal)) from refusal
        run.progress(seen)
        run.log("swept", objects=seen, unknown=unknown)

    return JobKind("gc.sweep", work, schedule=schedule, timeout=_SWEEP_AT_MOST)
