import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collection.modelled import BLOBS, NAMES, TAGS, Modelled, Rules
from entrepot.metadata import upgrade
from harness.postgresql import PostgresqlServer

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "25"))
STEPS = 40  # in each example, so that 1,000 steps are taken on each database

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
    st.tuples(st.just("pull"), names, numbers),
    st.tuples(st.just("pin"), names, numbers, st.sampled_from([60.0, 300.0, None])),
    st.tuples(st.just("advance"), st.sampled_from([1.0, 25.0, 49.0, 51.0, 99.0, 101.0])),
    st.tuples(st.just("collect")),
    st.tuples(st.just("collect")),
)


@dataclass(frozen=True)
class Fresh:
    """Where empty databases come from: a file, or a database of a server."""

    folder: Path
    template: str
    server: PostgresqlServer | None

    @contextlib.contextmanager
    def database(self) -> Generator[tuple[str, Path]]:
        """The URL of a new one, and a folder; both go afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if self.server is None:
                file = Path(shutil.copy(self.template, Path(folder) / "entrepot.db"))
                yield f"sqlite:///{file}", Path(folder)
            else:
                url = self.server.fresh_database(self.template)
                try:
                    yield url, Path(folder)
                finally:
                    self.server.drop_database(url)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Databases without content, copied from one that was made by all migrations."""
    folder = tmp_path_factory.mktemp("model")
    if request.param == "sqlite":
        upgrade(f"sqlite:///{folder / 'entrepot.db'}")
        return Fresh(folder, str(folder / "entrepot.db"), None)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    url = server.fresh_database()
    upgrade(url)
    return Fresh(folder, url.rpartition("/")[2], server)


rules = st.builds(
    Rules,
    review_after=st.sampled_from([0.0, 30.0]),
    untagged_after=st.sampled_from([0.0, 150.0]),
    pulled_within=st.sampled_from([0.0, 120.0]),
    keep_untagged=st.sampled_from([False, False, False, True]),
)


@pytest.mark.timeout(120 + 10 * EXAMPLES)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(operations, min_size=STEPS, max_size=STEPS), rules)
def test_what_is_promised_stays_and_everything_else_goes(
    fresh: Fresh, steps: list[tuple[Any, ...]], rules: Rules
) -> None:
    """Whatever is pushed, moved, deleted and collected, and when: nothing promised is lost, nothing is left over."""
    with fresh.database() as (url, folder):
        asyncio.run(run(url, folder, steps, rules))


async def run(url: str, folder: Path, steps: list[tuple[Any, ...]], rules: Rules) -> None:
    """Do the steps to a registry over that empty database, and wait for the end of all leases."""
    modelled = Modelled(url, folder, rules)
    try:
        for step in steps:
            await modelled.apply(step)
        await modelled.settle()
    finally:
        await modelled.close()
