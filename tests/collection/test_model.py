import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collection.modelled import BLOBS, NAMES, TAGS, Modelled
from entrepot.metadata import upgrade

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "25"))
STEPS = 40

names = st.sampled_from(NAMES)
blobs = st.sampled_from(BLOBS)
tags = st.sampled_from(TAGS)
numbers = st.integers(0, 9)
kinds = st.sampled_from(["image", "image", "image", "index", "index", "referrer", "cache", "referring index"])
uploads = st.tuples(st.just("upload"), names, blobs)
pushes = st.tuples(st.just("push"), names, kinds, numbers, numbers, st.none() | tags)
operations = st.one_of(
    uploads,
    uploads,
    pushes,
    pushes,
    pushes,
    st.tuples(st.just("mount"), names, blobs),
    st.tuples(st.just("leave_upload"), names, blobs),
    st.tuples(st.just("close_again"), numbers),
    st.tuples(st.just("head_blob"), names, blobs),
    st.tuples(st.just("head_manifest"), names, numbers),
    st.tuples(st.just("delete_tag"), names, tags),
    st.tuples(st.just("delete_manifest"), names, numbers),
    st.tuples(st.just("delete_blob"), names, blobs),
    st.tuples(st.just("delete_repository"), names),
    st.tuples(st.just("advance"), st.sampled_from([1.0, 25.0, 49.0, 51.0, 99.0, 101.0])),
    st.tuples(st.just("collect")),
    st.tuples(st.just("collect")),
)


@pytest.fixture(scope="module")
def fresh_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without content, to be copied."""
    file = tmp_path_factory.mktemp("model") / "entrepot.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.mark.timeout(60 + 10 * EXAMPLES)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(operations, min_size=STEPS // 2, max_size=STEPS),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([0.0, 150.0]),
)
def test_what_is_promised_stays_and_everything_else_goes(
    fresh_file: Path, steps: list[tuple[Any, ...]], review_after: float, untagged_after: float
) -> None:
    """Whatever is pushed, moved, deleted and collected, and when: nothing promised is lost, nothing is left over."""
    asyncio.run(run(fresh_file, steps, review_after, untagged_after))


async def run(fresh_file: Path, steps: list[tuple[Any, ...]], review_after: float, untagged_after: float) -> None:
    """Do the steps to a registry with a copy of that file, and wait for the end of all leases."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(shutil.copy(fresh_file, Path(folder) / "entrepot.db"))
        modelled = Modelled(file, review_after, untagged_after)
        try:
            for step in steps:
                await modelled.apply(step)
            await modelled.settle()
        finally:
            await modelled.close()
