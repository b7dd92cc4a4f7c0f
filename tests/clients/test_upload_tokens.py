"""A push that takes longer than its token is valid."""

import os
import subprocess
import time
from pathlib import Path

from clients.crane import Crane
from clients.holding import holding_proxy
from clients.image import Layout
from clients.requests import SESSION, Watch
from harness.registry import ADMIN, running_registry

HOLD_AFTER = 8 * 1024**2  # in the middle of the layer
OVER_SECONDS = 2.5  # a token's second, and another one for clocks that differ
SECONDS_AT_MOST = 120.0


def test_a_layer_that_outlives_its_token_is_stored(large_image: Layout, tmp_path: Path) -> None:
    """The upload is closed with the token that began it; nothing is sent twice, and the manifest needs a new token."""
    environment = {"ENTREPOT_TOKENS__LIFETIME": "1s"}
    crane = Crane(tmp_path / "crane")
    with (
        running_registry(tmp_path / "registry", "--anonymous", "none", environment=environment) as registry,
        holding_proxy(registry.port, hold_after=HOLD_AFTER) as proxy,
    ):
        watch = Watch(registry, "slow/image")
        stdin = registry.admin_password
        crane("auth", "login", proxy.address, "--username", ADMIN, "--password-stdin", stdin=stdin)
        command = crane.line("push", large_image.path, f"{proxy.address}/slow/image:1")
        with subprocess.Popen(command, env={**os.environ, **crane.environment()}, stderr=subprocess.DEVNULL) as pushing:
            assert proxy.held.wait(SECONDS_AT_MOST)
            time.sleep(OVER_SECONDS)
            proxy.release.set()
            assert pushing.wait(SECONDS_AT_MOST) == 0
        watch.wait_for("PUT", "/v2/<name>/manifests/<reference>", 201)
        asked = watch.requests()

    sessions = [(seen.method, seen.status) for seen in asked if seen.route == SESSION]
    assert sorted(sessions) == [("PATCH", 202), ("PATCH", 202), ("PUT", 201), ("PUT", 201)]
    assert [seen.status for seen in asked if seen.method == "PUT" and seen.route != SESSION] == [401, 201]
