"""Upload bodies that do not keep to what was announced, byte for byte on the wire."""

import base64
import contextlib
import secrets
import sqlite3
from collections.abc import Generator, Iterator

import pytest

from harness.protocol import Repository, RunningRegistry, digest_of, registry_in
from serving.running import eventually
from serving.wire import Wire, connected


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningRegistry, None, None]:
    """A registry of this module's own, whose rows are counted; blobs have at most a MiB."""
    with registry_in(tmp_path_factory.mktemp("bodies"), uploads__blob_bytes_at_most="1MiB") as running:
        yield running


def _authorization(registry: RunningRegistry) -> str:
    return "Authorization: Basic " + base64.b64encode(f"admin:{registry.password}".encode()).decode()


def _open_sessions(registry: RunningRegistry, repository: Repository) -> int:
    statement = (
        "SELECT count(*) FROM upload_sessions s JOIN repositories r ON r.id = s.repository_id"
        " WHERE s.finished_digest IS NULL AND r.name = ?"
    )
    with contextlib.closing(sqlite3.connect(registry.settings.data / "entrepot.db")) as rows:
        count: int = rows.execute(statement, (repository.name,)).fetchone()[0]
        return count


def _was_let_go(registry: RunningRegistry, location: str) -> bool:
    """Whether a writer has come to the session and has left it."""
    statement = "SELECT epoch, writing FROM upload_sessions WHERE id = ?"
    with contextlib.closing(sqlite3.connect(registry.settings.data / "entrepot.db")) as rows:
        epoch, writing = rows.execute(statement, (location.rpartition("/")[2],)).fetchone()
        return epoch == 1 and not writing


def _files(registry: RunningRegistry) -> set[str]:
    """The objects that have bytes."""
    return {
        path.name
        for path in (registry.settings.data / "store" / "objects").rglob("*")
        if path.is_file() and path.stat().st_size
    }


def _stream(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces


def _offset(repository: Repository, location: str) -> int:
    """The durable offset, from the refusal of a chunk far behind it: a range of 0-0 is that of none or of one byte."""
    refused = repository.client.patch(location, content=b"x", headers={"Content-Range": "1000000-1000000"})
    assert refused.status_code == 416
    offset: int = refused.json()["errors"][0]["detail"]["offset"]
    return offset


@pytest.mark.parametrize("pieces", [(b"0123", b"4567"), (b"0123", b"456789", b"x")], ids=["shorter", "longer"])
def test_a_streamed_chunk_keeps_to_its_range(repository: Repository, pieces: tuple[bytes, ...]) -> None:
    """A chunk without a length that is not as long as its range says is 400, and nothing beyond its range is taken."""
    location = repository.start_upload()

    refused = repository.client.patch(location, content=_stream(*pieces), headers={"Content-Range": "0-9"})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "SIZE_INVALID")
    offset = _offset(repository, location)
    assert offset <= 10
    content = b"".join(pieces)[:offset] + b"and then the rest"
    closed = repository.client.put(location, params={"digest": digest_of(content)}, content=content[offset:])
    assert closed.status_code == 201


def test_a_streamed_chunk_of_the_right_length_is_taken(repository: Repository) -> None:
    """Content-Range goes with a chunked body, too, also on the closing request."""
    location = repository.start_upload()
    headers = {"Content-Range": "0-4"}
    assert repository.client.patch(location, content=_stream(b"01", b"234"), headers=headers).status_code == 202

    closed = repository.client.put(
        location,
        params={"digest": digest_of(b"0123456789")},
        content=_stream(b"567", b"89"),
        headers={"Content-Range": "5-9"},
    )

    assert closed.status_code == 201


@pytest.mark.parametrize("value", ["", "x", "0", "5-", "-5", "bytes=0-4", "4-0", "\u0660-4", "0-99999999999999999999"])
def test_what_is_no_range_is_refused(repository: Repository, value: str) -> None:
    """A Content-Range outside the grammar is 400 or 416, and the session is where it was."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"abc")

    refused = repository.client.patch(location, content=b"01234", headers={b"Content-Range": value.encode()})

    assert refused.status_code in {400, 416}
    assert repository.client.get(location).headers["range"] == "0-2"


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_one_request_that_fails_leaves_nothing(registry: RunningRegistry, declared: bool) -> None:
    """A blob in one POST that is refused leaves no session that nobody knows, and no bytes."""
    with registry.admin() as admin:
        repository = Repository(admin)
        before = _files(registry)
        for content, status in ((b"other bytes", 400), (b"x" * (2 << 20), 413)):
            body = (
                content
                if declared
                else _stream(*(content[start : start + 65536] for start in range(0, len(content), 65536)))
            )
            answer = admin.post(
                f"{repository.base}/blobs/uploads/", params={"digest": digest_of(b"promised")}, content=body
            )
            assert answer.status_code == status

        assert _open_sessions(registry, repository) == 0
        assert _files(registry) == before


def test_one_request_that_breaks_off_leaves_nothing(registry: RunningRegistry) -> None:
    """Likewise when its client vanishes in the middle of it."""
    with registry.admin() as admin:
        repository = Repository(admin)
        before = _files(registry)
        with connected(registry.port) as wire:
            digest = digest_of(b"promised")
            wire.request(
                f"POST {repository.base}/blobs/uploads/?digest={digest}",
                _authorization(registry),
                "Content-Length: 100000",
                body=b"x" * 50_000,
            )
            eventually(lambda: _open_sessions(registry, repository) == 1)

        eventually(lambda: _open_sessions(registry, repository) == 0)
        eventually(lambda: _files(registry) == before)


def _chunk(wire: Wire, data: bytes) -> None:
    wire.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def test_a_client_that_vanishes_amid_a_chunked_body(registry: RunningRegistry) -> None:
    """A body without its last chunk is not complete, even if its bytes are: no blob comes of it; the upload goes on."""
    content = secrets.token_bytes(20_000)
    with registry.admin() as admin:
        mine = Repository(admin)
        location = mine.start_upload()
        with connected(registry.port) as wire:
            wire.request(
                f"PUT {location}?digest={digest_of(content)}", _authorization(registry), "Transfer-Encoding: chunked"
            )
            _chunk(wire, content)

        eventually(lambda: _was_let_go(registry, location))
        offset = _offset(mine, location)
        assert offset <= len(content)
        assert admin.head(f"{mine.base}/blobs/{digest_of(content)}").status_code == 404
        closed = admin.put(location, params={"digest": digest_of(content)}, content=content[offset:])
        assert closed.status_code == 201


def test_an_empty_chunked_body_closes_an_upload(repository: Repository) -> None:
    """Clients that always stream send a body of no bytes with their last request."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"all of it")

    closed = repository.client.put(location, params={"digest": digest_of(b"all of it")}, content=_stream())

    assert closed.status_code == 201


def test_a_finished_upload_answers_its_closing_request_again_with_its_bytes(repository: Repository) -> None:
    """A client that lost the answer sends the last chunk again, as it was."""
    location = repository.start_upload()
    repository.client.patch(location, content=b"first ")
    headers = {"Content-Range": "6-9"}

    for _ in range(3):
        closed = repository.client.put(
            location, params={"digest": digest_of(b"first last")}, content=b"last", headers=headers
        )
        assert closed.status_code == 201
        assert closed.headers["location"] == f"{repository.base}/blobs/{digest_of(b'first last')}"


def test_another_principals_session_is_unknown(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An upload's id is of no use to anybody else who may push to the repository; no answer tells it from none."""
    with (
        registry_in(tmp_path_factory.mktemp("shared"), anonymous="push") as registry,
        registry.admin() as admin,
        registry.client() as anonymous,
    ):
        location = Repository(admin).start_upload()
        admin.patch(location, content=b"mine")
        nowhere = location[:-32] + "0" * 32
        digest = {"digest": digest_of(b"mine")}

        def answers(target: str) -> list[tuple[int, bytes]]:
            requests = [
                anonymous.get(target),
                anonymous.patch(target, content=b"x"),
                anonymous.patch(target, content=b"x", headers={"Content-Range": "0-0"}),
                anonymous.put(target, params=digest),
                anonymous.put(target, params=digest, content=b"x"),
                anonymous.delete(target),
            ]
            return [(answer.status_code, answer.content) for answer in requests]

        assert answers(location) == answers(nowhere)
        assert {status for status, _ in answers(location)} == {404}
        assert admin.put(location, params=digest).status_code == 201
        assert anonymous.put(location, params=digest).status_code == 404


@pytest.mark.parametrize("whole", [True, False], ids=["POST", "PATCH"])
def test_a_declared_length_over_the_limit_is_refused_before_its_bytes(registry: RunningRegistry, whole: bool) -> None:
    """Who announces more than a blob may have, and waits to be let, is answered 413 and not asked for the body."""
    with registry.admin() as admin, connected(registry.port) as wire:
        repository = Repository(admin)
        start = f"{repository.base}/blobs/uploads/?digest={digest_of(b'large')}"
        request = f"POST {start}" if whole else f"PATCH {repository.start_upload()}"
        wire.request(request, _authorization(registry), "Content-Length: 1048577", "Expect: 100-continue")

        answer = wire.answer()

    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "SIZE_INVALID", "close")
