"""Clients that keep a refresh token in place of the password, and those that log in with a form."""

import base64
import contextlib
import json
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from clients.containerd import Ctr
from clients.crane import Crane
from clients.engine import Docker
from clients.image import Layout
from clients.oras import HTTP, Oras
from clients.requests import TOKEN, Watch
from clients.skopeo import Skopeo
from harness.registry import LiveRegistry, running_registry


@pytest.fixture
def registry(tmp_path: Path) -> Generator[LiveRegistry, None, None]:
    """A registry whose credentials a test may take away."""
    with running_registry(tmp_path / "registry", "--anonymous", "none") as running:
        yield running


@pytest.fixture
def logged_in(docker: Docker, registry: LiveRegistry) -> Docker:
    """docker, logged in."""
    docker.log_in(registry)
    return docker


def entry_of(docker: Docker, registry: LiveRegistry) -> dict[str, Any]:
    """What docker keeps about a registry."""
    kept = json.loads((docker.config / "config.json").read_text(encoding="utf-8"))["auths"][registry.address]
    assert isinstance(kept, dict)
    return kept


def revoke_all(registry: LiveRegistry) -> None:
    """Take every credential back, as an administrator does."""
    with contextlib.closing(sqlite3.connect(registry.data / "entrepot.db")) as database, database:
        database.execute("UPDATE credentials SET revoked_at = 1")
        database.execute("UPDATE versions SET access_version = access_version + 1")


def test_docker_keeps_no_password(logged_in: Docker, registry: LiveRegistry, small_image: Layout) -> None:
    """Docker login stores a refresh token; push and pull go on with it, until it is revoked."""
    kept = entry_of(logged_in, registry)
    assert kept["identitytoken"].startswith("entf_")
    assert registry.admin_password not in base64.b64decode(kept.get("auth", "")).decode()

    reference = f"{registry.address}/kept/image:1"
    watch = Watch(registry, None)
    pushed = logged_in.push(small_image, reference)
    assert logged_in.pull(reference) == pushed
    assert watch.count("POST", TOKEN, 200) >= 2
    assert watch.count("GET", TOKEN, 200) == 0

    revoke_all(registry)
    assert "authentication required" in logged_in("pull", reference, expected_to_fail=True)


def test_others_use_what_docker_keeps(
    logged_in: Docker, registry: LiveRegistry, small_image: Layout, tmp_path: Path
) -> None:
    """crane, oras and skopeo push and pull with the refresh token in docker's file, and say why when it is revoked."""
    crane, oras, skopeo = Crane(logged_in.config), Oras(logged_in.config), Skopeo(tmp_path / "skopeo")
    skopeo.auth_file.write_text((logged_in.config / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    reference = f"{registry.address}/kept/other:1"
    watch = Watch(registry, None)

    pushed = crane.push(small_image, reference)
    assert skopeo.pull(reference) == pushed
    assert "kept/other" in oras("repo", "ls", HTTP, registry.address)
    assert oras("resolve", HTTP, reference).strip() == pushed.digest
    assert watch.count("POST", TOKEN, 200) >= 3
    assert watch.count("GET", TOKEN, 200) == 0

    revoke_all(registry)
    for said in (
        crane("digest", reference, expected_to_fail=True),
        oras("resolve", HTTP, reference, expected_to_fail=True),
        skopeo("inspect", "--tls-verify=false", f"docker://{reference}", expected_to_fail=True),
    ):
        assert "authentication required" in said


def test_containerd_logs_in_with_a_form(containerd: Path, private_registry: LiveRegistry, small_image: Layout) -> None:
    """With the right password one request in one way; a wrong one is refused in each way that it tries."""
    ctr, watch = Ctr(containerd), Watch(private_registry, None)
    ctr.log_in(private_registry)
    reference = f"{private_registry.address}/form/image:1"
    pushed = ctr.push(small_image, reference)
    assert ctr.pull(reference) == pushed
    assert watch.count("POST", TOKEN, 200) >= 2
    assert watch.count("GET", TOKEN, 200) == 0

    ctr.log_in(private_registry, "wrong", expected_to_fail=True)
    assert watch.count("POST", TOKEN, 401) == watch.count("GET", TOKEN, 401) >= 1
