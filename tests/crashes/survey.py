"""Whether a registry kept its promises: what was answered is there, what is visible is whole, the rows are in order."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg

from crashes.client import expect
from crashes.ledger import Ledger
from harness.protocol import digest_of

# Every key with the one that owns it: a session, a blob, or the deletion of bytes.
_OWNED = "SELECT key, size, 'session' FROM upload_objects UNION ALL SELECT key, size, 'blob' FROM blob_objects"
_OWNED += " UNION ALL SELECT key, size, 'dead' FROM dead_objects"


def check_answered(http: httpx.Client, ledger: Ledger) -> None:
    """Acknowledged blobs and manifests come back byte for byte, tags stand where they may, the deleted is gone."""
    for (repository, digest), content in ledger.blobs.items():
        assert _get(http, f"/v2/{repository}/blobs/{digest}") == content, f"another blob under {repository}@{digest}"
    for (repository, digest), content in ledger.manifests.items():
        found = _get(http, f"/v2/{repository}/manifests/{digest}")
        assert found == content, f"another manifest under {repository}@{digest}"
    for (repository, tag), digests in ledger.tags.items():
        answer = http.head(f"/v2/{repository}/manifests/{tag}")
        expect(answer, 200, 404)
        stands_on = answer.headers["docker-content-digest"] if answer.is_success else None
        assert stands_on in digests, f"{repository}:{tag} stands on {stands_on}, not on one of {digests}"
    for repository, digest in ledger.gone_blobs:
        expect(http.head(f"/v2/{repository}/blobs/{digest}"), 404)
    for repository, digest in ledger.gone_manifests:
        expect(http.head(f"/v2/{repository}/manifests/{digest}"), 404)


def check_whole(http: httpx.Client, ledgers: Iterable[Ledger] = ()) -> None:
    """Every tag's manifest is there, and every blob that it, or another visible manifest of the ledgers, names."""
    sound: set[str] = set()
    for repository in _listed(http, "/v2/_catalog", "repositories"):
        base = f"/v2/{repository}"
        for tag in _listed(http, f"{base}/tags/list", "tags"):
            _check_manifest(http, base, tag, _get(http, f"{base}/manifests/{tag}"), sound)
    for repository, digest in {place for ledger in ledgers for place in ledger.asked}:
        answer = http.get(f"/v2/{repository}/manifests/{digest}")
        expect(answer, 200, 404)
        if answer.is_success:
            _check_manifest(http, f"/v2/{repository}", digest, answer.content, sound)


def _check_manifest(http: httpx.Client, base: str, reference: str, content: bytes, sound: set[str]) -> None:
    """All that a manifest names is there with the right bytes; ``sound`` is what has been looked at."""
    place = f"{base}@{digest_of(content)}"
    if place in sound:
        return
    sound.add(place)
    assert ":" not in reference or reference == digest_of(content), f"{base}@{reference} has other bytes"
    manifest: dict[str, Any] = json.loads(content)
    for named in [manifest.get("config"), *manifest.get("layers", [])]:
        if named is not None and f"{base}@{named['digest']}" not in sound:
            assert digest_of(_get(http, f"{base}/blobs/{named['digest']}")) == named["digest"]
            sound.add(f"{base}@{named['digest']}")
    for child in manifest.get("manifests", []):  # a child may be deleted while its index stays
        answer = http.get(f"{base}/manifests/{child['digest']}")
        expect(answer, 200, 404)
        if answer.is_success:
            _check_manifest(http, base, child["digest"], answer.content, sound)


def check_rows(database: str, store: Path, *, is_closed: bool) -> None:
    """The database finds itself sound; no key is owned twice; what a blob or session counts lies in the store.

    ``is_closed`` tells that nothing happened since but a crash: then no file in the store is without an owner.
    """
    owned: dict[str, tuple[int, str]] = {}
    for key, size, owner in _rows(database):
        assert key not in owned, f"{key} is owned twice: {owned[key][1]} and {owner}"
        owned[key] = (size, owner)
    for key, (size, owner) in owned.items():
        if owner != "dead" and size:
            assert (store / key).stat().st_size >= size, f"{key} of a {owner} lacks bytes"
    if is_closed:
        files = {path.relative_to(store).as_posix() for path in (store / "objects").rglob("*") if path.is_file()}
        assert files <= set(owned), f"nobody owns {files - set(owned)}"


def _rows(database: str) -> list[tuple[str, int, str]]:
    """Every owned key, from a database that is sound."""
    if database.startswith("postgresql:"):
        with psycopg.connect(database) as connection:
            return [(str(key), int(size), str(owner)) for key, size, owner in connection.execute(_OWNED)]
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as lite:
        assert lite.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert lite.execute("PRAGMA foreign_key_check").fetchall() == []
        return lite.execute(_OWNED).fetchall()


def _get(http: httpx.Client, path: str) -> bytes:
    answer = http.get(path)
    expect(answer, 200)
    return answer.content


def _listed(http: httpx.Client, path: str, kind: str) -> Iterator[str]:
    """All entries of a list, page by page."""
    here: str | None = path
    while here is not None:
        answer = http.get(here)
        expect(answer, 200)
        yield from answer.json()[kind]
        here = answer.links["next"]["url"] if "next" in answer.links else None
