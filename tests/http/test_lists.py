"""Tags, referrers and the catalog (distribution spec, "Content Discovery"), over real sockets."""

import secrets
from typing import Any

import pytest

from harness.protocol import OCI_INDEX, OCI_MANIFEST, Repository, digest_of, image, index


def _descriptor_of(repository: Repository, reference: str) -> dict[str, Any]:
    content = repository.client.get(f"{repository.base}/manifests/{reference}").content
    return {"mediaType": OCI_MANIFEST, "digest": digest_of(content), "size": len(content)}


def _pages(repository: Repository, path: str, key: str) -> list[list[Any]]:
    """Every page of a list, along its links."""
    pages = []
    url: str | None = path
    while url is not None:
        answer = repository.client.get(url)
        assert answer.status_code == 200
        pages.append(answer.json()[key])
        link = answer.headers.get("link")
        assert link is None or link.endswith('; rel="next"')
        url = None if link is None else link[1 : link.index(">")]
    return pages


def test_tags_are_listed_in_byte_order_page_by_page(repository: Repository) -> None:
    """Following the links yields every tag once, in the order of bytes; ``n`` and ``last`` cut."""
    digest = repository.push_image("start")
    content = repository.client.get(f"{repository.base}/manifests/start").content
    tags = sorted(["start", "B", "a", "A", "_x", "1", "10", "2", "z.z", "b-1"], key=str.encode)
    query = "&".join(f"tag={tag}" for tag in tags)
    assert repository.put_manifest(f"{digest}?{query}", content, OCI_MANIFEST).status_code == 201
    path = f"{repository.base}/tags/list"

    assert repository.client.get(path).json() == {"name": repository.name, "tags": tags}
    pages = _pages(repository, f"{path}?n=3", "tags")
    assert [tag for page in pages for tag in page] == tags
    assert {len(page) for page in pages[:-1]} == {3}
    assert repository.client.get(f"{path}?last=a").json()["tags"] == [tag for tag in tags if tag > "a"]
    none = repository.client.get(f"{path}?n=0")
    assert (none.json()["tags"], "link" in none.headers) == ([], False)
    exactly = repository.client.get(f"{path}?n={len(tags)}")
    assert (exactly.json()["tags"], "link" in exactly.headers) == (tags, False)


@pytest.mark.parametrize("n", ["-1", "x", "1e3", "\u0661", "9" * 30])
def test_n_has_to_be_a_number(repository: Repository, n: str) -> None:
    """Anything but digits is refused."""
    repository.push_image()

    refused = repository.client.get(f"{repository.base}/tags/list", params={"n": n})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "PAGINATION_NUMBER_INVALID")


def test_a_page_has_at_most_what_the_settings_allow(repository: Repository) -> None:
    """A larger ``n`` is cut, not refused."""
    repository.push_image()

    assert repository.client.get(f"{repository.base}/tags/list?n=999999999").json()["tags"] == ["v1"]


def test_tags_of_a_repository_that_is_not_there(repository: Repository) -> None:
    """A repository that does not exist is 404 NAME_UNKNOWN."""
    missing = repository.client.get(f"{repository.base}/tags/list")

    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


def test_the_catalog_lists_repositories_once_in_byte_order(repository: Repository) -> None:
    """Following the links yields every repository once."""
    names = sorted(f"{repository.name}/{part}" for part in ("a", "b-c", "b", "b/c"))
    for name in names:
        Repository(repository.client, name).push_blob()

    pages = _pages(repository, "/v2/_catalog?n=2", "repositories")

    listed = [name for page in pages for name in page]
    assert [name for name in listed if name.startswith(f"{repository.name}/")] == names
    assert listed == sorted(set(listed), key=str.encode)


def test_referrers_name_what_refers_to_a_subject(repository: Repository) -> None:
    """Manifests and indexes with a subject are listed with type, size, artifact type and annotations; filters apply."""
    repository.push_image("subject")
    subject = _descriptor_of(repository, "subject")
    signature = image(subject=subject, artifactType="application/x.signature", annotations={"k": "v"})
    pushed = repository.put_manifest("signed", signature)
    assert pushed.headers["oci-subject"] == subject["digest"]
    assert repository.put_manifest("listed", index(subject=subject)).headers["oci-subject"] == subject["digest"]
    path = f"{repository.base}/referrers/{subject['digest']}"

    everything = repository.client.get(path)

    assert everything.headers["content-type"] == OCI_INDEX
    entries = {entry["digest"]: entry for entry in everything.json()["manifests"]}
    assert len(entries) == 2
    entry = entries[pushed.headers["docker-content-digest"]]
    assert (entry["artifactType"], entry["annotations"]) == ("application/x.signature", {"k": "v"})
    filtered = repository.client.get(path, params={"artifactType": "application/x.signature"})
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [entry["digest"] for entry in filtered.json()["manifests"]] == [pushed.headers["docker-content-digest"]]


def test_nothing_refers_to_what_is_not_there(repository: Repository) -> None:
    """A subject, or a repository, that does not exist has an empty list, never 404; a malformed digest is 400."""
    answer = repository.client.get(f"{repository.base}/referrers/{digest_of(b'none')}")

    assert (answer.status_code, answer.json()["manifests"]) == (200, [])
    assert repository.client.get(f"{repository.base}/referrers/sha256:abc").status_code == 400


def test_a_subject_may_come_later(repository: Repository) -> None:
    """A manifest may name a subject that was never pushed."""
    repository.push_blob()
    absent = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"absent"), "size": 6}

    assert repository.put_manifest("early", image(subject=absent)).status_code == 201
    assert len(repository.client.get(f"{repository.base}/referrers/{absent['digest']}").json()["manifests"]) == 1


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_fallback_tags_are_read_when_they_are_pushed(repository: Repository, algorithm: str) -> None:
    """What a client without the referrers API lists under its tag shows in the API, and goes with the tag."""
    subject = digest_of(secrets.token_bytes(10), algorithm)
    name, _, encoded = subject.partition(":")
    tag = f"{name}-{encoded[:64]}"
    listed = repository.push_image("artifact", artifactType="application/x.sbom")
    path = f"{repository.base}/referrers/{subject}"

    assert repository.put_manifest(tag, index(_descriptor_of(repository, "artifact"))).status_code == 201
    assert [entry["digest"] for entry in repository.client.get(path).json()["manifests"]] == [listed]
    assert repository.put_manifest(tag, index()).status_code == 201
    assert repository.client.get(path).json()["manifests"] == []
    repository.put_manifest(tag, index(_descriptor_of(repository, "artifact")))
    assert repository.client.delete(f"{repository.base}/manifests/{tag}").status_code == 202
    assert repository.client.get(path).json()["manifests"] == []


def test_long_lists_of_referrers_come_in_pages(repository: Repository) -> None:
    """A page has at most 4 MiB; following the links yields every referrer once."""
    repository.push_image("subject")
    subject = _descriptor_of(repository, "subject")
    pushed = {
        repository.put_manifest(
            f"r{number}", image(subject=subject, annotations={"n": str(number), "pad": "x" * 1_000_000})
        ).headers["docker-content-digest"]
        for number in range(6)
    }

    pages = _pages(repository, f"{repository.base}/referrers/{subject['digest']}", "manifests")

    assert len(pages) > 1
    listed = [entry["digest"] for page in pages for entry in page]
    assert sorted(listed) == sorted(pushed)
