"""Pushing blobs (distribution spec, "Pushing blobs"), over real sockets."""

import contextlib
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.protocol import EMPTY, Repository, RunningRegistry, digest_of, registry_in


def test_a_session_takes_chunks_and_becomes_a_blob(repository: Repository) -> None:
    """Chunks in order are acknowledged with their range; the closing request makes the blob."""
    location = repository.start_upload()

    first = repository.client.patch(location, content=b"hello ", headers={"Content-Range": "0-5"})
    assert (first.status_code, first.headers["range"]) == (202, "0-5")
    second = repository.client.patch(first.headers["location"], content=b"world", headers={"Content-Range": "6-10"})
    assert (second.status_code, second.headers["range"]) == (202, "0-10")
    digest = digest_of(b"hello world")
    closed = repository.client.put(second.headers["location"], params={"digest": digest})

    assert closed.status_code == 201
    assert closed.headers["docker-content-digest"] == digest
    assert closed.headers["location"] == f"{repository.base}/blobs/{digest}"
    assert repository.client.get(closed.headers["location"]).content == b"hello world"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_last_chunk_may_come_with_the_closing_request(repository: Repository, algorithm: str) -> None:
    """A PUT with a body appends it before the digest is compared, in the algorithm that was announced."""
    location = repository.start_upload(f"?digest-algorithm={algorithm}")
    repository.client.patch(location, content=b"a" * 1000)
    digest = digest_of(b"a" * 1000 + b"b" * 500, algorithm)

    closed = repository.client.put(
        location, params={"digest": digest}, content=b"b" * 500, headers={"Content-Range": "1000-1499"}
    )

    assert closed.status_code == 201
    assert repository.client.get(f"{repository.base}/blobs/{digest}").content == b"a" * 1000 + b"b" * 500


def test_another_algorithm_than_announced_reads_the_bytes_again(repository: Repository) -> None:
    """A session that hashed sha256 can still be closed under a sha512 digest."""
    location = repository.start_upload()
    content = secrets.token_bytes(3 << 20)
    repository.client.patch(location, content=content)
    digest = digest_of(content, "sha512")

    assert repository.client.put(location, params={"digest": digest}).status_code == 201
    assert repository.client.get(f"{repository.base}/blobs/{digest}").content == content


def test_an_empty_session_says_where_it_stands(repository: Repository) -> None:
    """An empty session has the range 0-0 and goes on at 0."""
    location = repository.start_upload()

    status = repository.client.get(location)

    assert (status.status_code, status.headers["range"], status.headers["location"]) == (204, "0-0", location)
    assert repository.client.patch(location, content=b"x", headers={"Content-Range": "0-0"}).status_code == 202


def test_an_empty_blob_can_be_pushed_and_pulled(repository: Repository) -> None:
    """Content of no bytes is content, by one request and by a session."""
    digest = repository.push_blob(b"")
    assert repository.client.get(f"{repository.base}/blobs/{digest}").content == b""

    location = repository.start_upload()
    assert repository.client.put(location, params={"digest": digest}).status_code == 201


@pytest.mark.parametrize("content_range", ["0-4", "3-7", "6-10", "100-104"])
def test_a_gap_or_an_overlap_is_refused_with_the_true_range(repository: Repository, content_range: str) -> None:
    """A chunk that does not begin at the end of the last one is 416, and the session goes on where it was."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"01234")

    refused = repository.client.patch(location, content=b"56789", headers={"Content-Range": content_range})

    assert (refused.status_code, refused.headers["range"]) == (416, "0-4")
    assert refused.json()["errors"][0]["code"] == "BLOB_UPLOAD_INVALID"
    assert refused.json()["errors"][0]["detail"]["offset"] == 5
    accepted = repository.client.patch(location, content=b"56789", headers={"Content-Range": "5-9"})
    assert accepted.headers["range"] == "0-9"


def test_a_range_that_contradicts_the_length_is_refused(repository: Repository) -> None:
    """The length of a chunk is said twice, and both have to agree."""
    location = repository.start_upload()

    refused = repository.client.patch(location, content=b"0123", headers={"Content-Range": "0-9"})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "SIZE_INVALID")


def test_a_wrong_digest_ends_the_session(repository: Repository) -> None:
    """Content that is not what was promised is 400, and nothing of it stays."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"something")

    refused = repository.client.put(location, params={"digest": digest_of(b"something else")})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert repository.client.get(location).status_code == 404


@pytest.mark.parametrize("digest", ["", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:abc", "sha256:" + "G" * 64])
def test_a_digest_outside_the_grammar_is_refused(repository: Repository, digest: str) -> None:
    """Unknown algorithms and malformed digests are 400, and the session lives on."""
    location = repository.start_upload()

    refused = repository.client.put(location, params={"digest": digest})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert repository.client.get(location).status_code == 204


def test_the_closing_request_can_be_repeated(repository: Repository) -> None:
    """When the answer was lost, the same PUT is 201 again; another digest is unknown, and so after the blob went."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"lost answer")
    digest = digest_of(b"lost answer")

    for _ in range(3):
        assert repository.client.put(location, params={"digest": digest}).status_code == 201
    assert repository.client.put(location, params={"digest": digest_of(b"other")}).status_code == 404
    assert repository.client.delete(f"{repository.base}/blobs/{digest}").status_code == 202
    assert repository.client.put(location, params={"digest": digest}).status_code == 404


def test_a_cancelled_session_is_gone(repository: Repository) -> None:
    """DELETE ends a session; nothing goes on with it."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"never mind")

    assert repository.client.delete(location).status_code == 204
    for answer in (repository.client.get(location), repository.client.patch(location, content=b"x")):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("session", ["x", "0" * 31, "0" * 32, "..", "%2e%2e", "0" * 32 + "%00", "\u0660" * 32])
def test_an_unknown_session_is_404_whatever_it_looks_like(repository: Repository, session: str) -> None:
    """Ids outside the grammar and ids of nothing are the same."""
    answer = repository.client.get(f"{repository.base}/blobs/uploads/{session}")

    assert answer.status_code == 404


def test_a_session_belongs_to_one_repository_and_one_principal(
    repository: Repository, registry: RunningRegistry
) -> None:
    """Another repository's session is as unknown as none at all."""
    session = repository.start_upload().rpartition("/")[2]
    other = repository.other()
    other.push_blob()

    stolen = repository.client.patch(f"{other.base}/blobs/uploads/{session}", content=b"x")
    missing = repository.client.patch(f"{other.base}/blobs/uploads/{'0' * 32}", content=b"x")

    assert (stolen.status_code, stolen.content) == (missing.status_code, missing.content)
    assert stolen.status_code == 404
    with registry.client() as anonymous:
        assert anonymous.patch(f"{repository.base}/blobs/uploads/{session}", content=b"x").status_code == 401


def _send_half(registry: RunningRegistry, location: str, half: bytes, length: int) -> socket.socket:
    """Begin a PATCH of ``length`` bytes and send only ``half``; the connection stays open."""
    authorization = httpx.BasicAuth("admin", registry.password)._auth_header
    sock = socket.create_connection(("127.0.0.1", registry.port), timeout=20)
    head = f"PATCH {location} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
    sock.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + half)
    return sock


def _wait_for_offset(repository: Repository, location: str, range_header: str) -> None:
    for _ in range(200):
        if repository.client.get(location).headers["range"] == range_header:
            return
        threading.Event().wait(0.05)
    pytest.fail(f"the session never came to {range_header}")


def _wait_for_checkpoint(repository: Repository, location: str) -> int:
    for _ in range(200):
        offset = int(repository.client.get(location).headers["range"].partition("-")[2]) + 1
        if offset > 1:
            return offset
        threading.Event().wait(0.05)
    pytest.fail("there was no checkpoint")


def test_what_arrived_before_the_client_vanished_is_kept(repository: Repository, registry: RunningRegistry) -> None:
    """A body that breaks off leaves what came of it; the status tells the true offset, and the upload goes on there."""
    content = secrets.token_bytes(300_000)
    location = repository.start_upload()
    _send_half(registry, location, content[:200_000], len(content)).close()

    _wait_for_offset(repository, location, "0-199999")
    rest = repository.client.patch(location, content=content[200_000:], headers={"Content-Range": "200000-299999"})
    assert rest.status_code == 202
    digest = digest_of(content)
    assert repository.client.put(location, params={"digest": digest}).status_code == 201
    assert repository.client.get(f"{repository.base}/blobs/{digest}").content == content


def test_a_silent_body_is_recorded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What came of a body is a checkpoint when the interval is over, though nothing more comes; the body can go on."""
    content = secrets.token_bytes(300_000)
    with (
        registry_in(tmp_path_factory.mktemp("silent"), uploads__checkpoint_interval="1s") as registry,
        registry.admin() as admin,
    ):
        repository = Repository(admin)
        location = repository.start_upload()
        with contextlib.closing(_send_half(registry, location, content[:200_000], len(content))) as silent:
            _wait_for_offset(repository, location, "0-199999")
            silent.sendall(content[200_000:])
            assert silent.recv(4096).startswith(b"HTTP/1.1 202 ")

        digest = digest_of(content)
        assert admin.put(location, params={"digest": digest}).status_code == 201
        assert admin.get(f"{repository.base}/blobs/{digest}").content == content


def test_a_writer_that_was_overtaken_spoils_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A second PATCH at the durable offset shuts out the first; what the first sends after the 201 changes no byte."""
    durable, late, good = (secrets.token_bytes(length) for length in (2 << 20, 1 << 20, 500_000))
    with (
        registry_in(tmp_path_factory.mktemp("fenced"), uploads__checkpoint_bytes="1MiB") as registry,
        registry.admin() as admin,
    ):
        repository = Repository(admin)
        location = repository.start_upload()
        with contextlib.closing(_send_half(registry, location, durable, len(durable) + len(late))) as slow:
            offset = _wait_for_checkpoint(repository, location)
            overtaking = admin.patch(location, content=good, headers={"Content-Range": f"{offset}-{offset + 499_999}"})
            assert overtaking.status_code == 202
            content = durable[:offset] + good
            digest = digest_of(content)
            assert admin.put(location, params={"digest": digest}).status_code == 201

            with contextlib.suppress(ConnectionError):
                slow.sendall(late)
            answer = slow.recv(4096)

        assert answer.split(b" ", 2)[1] in {b"404", b"416"}
        assert admin.get(f"{repository.base}/blobs/{digest}").content == content
        assert admin.put(location, params={"digest": digest}).status_code == 201


def test_of_two_writers_at_one_offset_one_goes_on(repository: Repository) -> None:
    """Chunks for the same place at the same time end in one consistent blob, never in a mixture."""
    location = repository.start_upload()
    contents = [bytes([number]) * 200_000 for number in range(4)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda content: (
                    repository.client.patch(
                        location, content=content, headers={"Content-Range": "0-199999"}
                    ).status_code
                ),
                contents,
            )
        )

    assert set(answers) <= {202, 416}
    assert answers.count(202) == 1
    winner = digest_of(contents[answers.index(202)])
    assert repository.client.put(location, params={"digest": winner}).status_code == 201


def test_a_blob_over_the_limit_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """More than the settings allow is 413, whether the length was declared or not."""
    folder = tmp_path_factory.mktemp("limited")
    with registry_in(folder, uploads__blob_bytes_at_most="1MiB") as registry, registry.admin() as admin:
        repository = Repository(admin)
        location = repository.start_upload()
        assert admin.patch(location, content=b"x" * (1 << 20)).status_code == 202
        assert admin.patch(location, content=b"x").status_code == 413
        stream = (b"x" * 65536 for _ in range(64))
        assert admin.patch(repository.start_upload(), content=stream).status_code == 413


def test_a_mount_links_without_bytes(repository: Repository) -> None:
    """A blob of another repository is mounted with 201; deleting the source leaves the target."""
    content = secrets.token_bytes(100)
    digest = repository.push_blob(content)
    target = repository.other()

    mounted = target.client.post(f"{target.base}/blobs/uploads/", params={"mount": digest, "from": repository.name})

    assert (mounted.status_code, mounted.headers["location"]) == (201, f"{target.base}/blobs/{digest}")
    assert repository.client.delete(f"{repository.base}/blobs/{digest}").status_code == 202
    assert target.client.get(f"{target.base}/blobs/{digest}").content == content


def test_a_mount_without_source_finds_what_the_caller_may_read(repository: Repository) -> None:
    """Without ``from`` any readable repository serves; a blob that is nowhere opens a session."""
    digest = repository.push_blob(secrets.token_bytes(100))
    target = repository.other()

    assert target.client.post(f"{target.base}/blobs/uploads/", params={"mount": digest}).status_code == 201
    missing = target.client.post(f"{target.base}/blobs/uploads/", params={"mount": digest_of(b"nowhere")})
    assert missing.status_code == 202
    assert target.client.get(missing.headers["location"]).status_code == 204


def test_many_pushes_of_the_same_blob_agree(repository: Repository) -> None:
    """Pushed at the same time by many, content is stored once and every push succeeds."""
    content = secrets.token_bytes(50_000)
    digest = digest_of(content)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(
                lambda _: (
                    repository.client.post(
                        f"{repository.base}/blobs/uploads/", params={"digest": digest}, content=content
                    ).status_code
                ),
                range(16),
            )
        )

    assert statuses == [201] * 16
    assert repository.client.get(f"{repository.base}/blobs/{digest}").content == content


def test_uploads_leave_only_their_blobs_in_the_store(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytes of cancelled, refused and duplicate uploads are freed at once."""
    with registry_in(tmp_path_factory.mktemp("counted")) as registry, registry.admin() as admin:
        repository = Repository(admin)
        repository.push_blob(EMPTY)
        repository.push_blob(EMPTY)
        cancelled = repository.start_upload()
        admin.patch(cancelled, content=b"x" * 1000)
        admin.delete(cancelled)
        refused = repository.start_upload()
        admin.put(refused, params={"digest": digest_of(b"y")}, content=b"z")

        files = [path for path in (registry.settings.data / "store" / "objects").rglob("*") if path.is_file()]

    assert [path.read_bytes() if path.exists() else b"" for path in files] == [EMPTY]
