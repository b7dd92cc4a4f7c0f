"""Pushes that are cut off, that come two at a time, and that outlive their token."""

import contextlib
import dataclasses
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from clients.crane import Crane
from clients.engine import Docker
from clients.holding import holding_proxy
from clients.image import Layout
from clients.requests import MANIFEST, TOKEN, Watch
from clients.skopeo import Skopeo
from harness.fixtures import StartRegistry
from harness.ports import wait_until
from harness.protocol import OCI_MANIFEST
from harness.registry import ADMIN, LiveRegistry

MEBIBYTE = 1024**2
HOLD_SECONDS_AT_MOST = 60.0
ROUNDS = 3

# The shortest that clients take as it is, and what is allowed for clocks that differ (access/tokens.py).
TOKEN_SECONDS = 60 + 30 + 1


def test_a_push_that_was_killed_is_repeated(
    private_registry: LiveRegistry, admin: httpx.Client, large_image: Layout, tmp_path: Path
) -> None:
    """A client killed in the middle of a layer leaves nothing that can be pulled; the next push makes it whole."""
    crane = Crane(tmp_path / "crane")
    with holding_proxy(private_registry.port, hold_after=8 * MEBIBYTE) as proxy:
        stdin = private_registry.admin_password
        crane("auth", "login", proxy.address, "--username", ADMIN, "--password-stdin", stdin=stdin)
        command = crane.line("push", large_image.path, f"{proxy.address}/pushes/killed:1.0")
        with subprocess.Popen(command, env={**os.environ, **crane.environment()}, stderr=subprocess.DEVNULL) as push:
            assert proxy.held.wait(HOLD_SECONDS_AT_MOST)
            push.kill()
    missing = admin.get("/v2/pushes/killed/manifests/1.0")
    crane.log_in(private_registry)

    pushed = crane.push(large_image, f"{private_registry.address}/pushes/killed:1.0")

    assert missing.status_code == httpx.codes.NOT_FOUND
    assert crane.pull(f"{private_registry.address}/pushes/killed:1.0") == pushed


def test_two_pushes_of_one_tag_at_a_time(
    private_registry: LiveRegistry,
    admin: httpx.Client,
    small_image: Layout,
    many_layers_image: Layout,
    tmp_path: Path,
) -> None:
    """Both succeed each time, and the tag stands on one of the images, of which everything is there."""
    images = {layout.digest: layout for layout in (small_image, many_layers_image)}
    clients = [Skopeo(tmp_path / layout.path.name) for layout in images.values()]
    for client in clients:
        client.log_in(private_registry)

    for round_number in range(ROUNDS):
        repository = f"pushes/together-{round_number}"
        watch = Watch(private_registry, repository)
        with ThreadPoolExecutor(len(clients)) as pool:
            pushes = [
                pool.submit(client.push, layout, f"{private_registry.address}/{repository}:1.0")
                for client, layout in zip(clients, images.values(), strict=True)
            ]
        for push in pushes:
            push.result()

        watch.wait_for("PUT", MANIFEST, httpx.codes.CREATED, times=2)
        tagged = admin.get(f"/v2/{repository}/manifests/1.0", headers={"Accept": OCI_MANIFEST})
        winner = images[tagged.headers["docker-content-digest"]]
        pulled = clients[0].pull(f"{private_registry.address}/{repository}:1.0")
        assert pulled.config == winner.config()


@pytest.mark.timeout(400)
def test_a_push_outlives_its_token(
    live_registry: StartRegistry, large_image: Layout, tmp_path: Path, dockerd: Path
) -> None:
    """A client whose token expires in the middle of a push gets a new one and goes on: docker, skopeo, crane."""
    registry = live_registry(environment={"ENTREPOT_TOKENS__LIFETIME": "1m", "ENTREPOT_HTTP__RATE_WINDOW": "10m"})
    clients: dict[str, Docker | Skopeo | Crane] = {
        "docker": Docker(dockerd, tmp_path / "docker"),
        "skopeo": Skopeo(tmp_path / "skopeo"),
        "crane": Crane(tmp_path / "crane"),
    }
    pushes = {}
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(clients)))
        proxies = [stack.enter_context(holding_proxy(registry.port, hold_after=8 * MEBIBYTE)) for _ in clients]
        for (name, client), proxy in zip(clients.items(), proxies, strict=True):
            reached_through = dataclasses.replace(registry, address=proxy.address)
            client.log_in(reached_through)
            pushes[name] = pool.submit(client.push, large_image, f"{proxy.address}/pushes/{name}:1.0")
        for proxy in proxies:
            assert proxy.held.wait(HOLD_SECONDS_AT_MOST)
        held = time.time()
        wait_until(lambda: time.time() > held + TOKEN_SECONDS, "the tokens expire", seconds_at_most=2 * TOKEN_SECONDS)
        afterwards = Watch(registry, None)
        for proxy in proxies:
            proxy.release.set()
        pushed = {name: push.result() for name, push in pushes.items()}

    refreshed = {seen.agent.partition("/")[0] for seen in afterwards.requests() if seen.route == TOKEN}
    assert refreshed == set(clients)
    credentials = (ADMIN, registry.admin_password)
    for name, image in pushed.items():
        answer = httpx.head(f"{registry.url}/v2/pushes/{name}/manifests/1.0", auth=credentials)
        assert answer.headers["docker-content-digest"] == image.digest
