"""Content in whole or in parts, as an HTTP client reads it."""

import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from entrepot.http.errors import ErrorAnswers
from entrepot.http.ranges import Content, content_reply, in_memory

DATA = bytes(range(256)) * 4
ETAG = '"sha256:abc"'
CONTENT = Content(len(DATA), "application/octet-stream", ETAG, in_memory(DATA))
HEADERS = {"Cache-Control": "max-age=31536000, immutable"}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with the content."""
    await content_reply(Request(scope), CONTENT, HEADERS)(scope, receive, send)


def client_of() -> httpx.AsyncClient:
    """A client of the application."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(ErrorAnswers(application)), base_url="http://registry.example"
    )


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client for one test."""
    async with client_of() as client:
        yield client


async def test_the_whole_content(client: httpx.AsyncClient) -> None:
    """Without conditions the answer is 200 with length, type, tag and the handler's headers."""
    response = await client.get("/")
    assert (response.status_code, response.content) == (200, DATA)
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["etag"] == ETAG
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["cache-control"] == HEADERS["Cache-Control"]


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"If-None-Match": ETAG}])
async def test_head_is_get_without_a_body(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """HEAD has the headers of the GET; Range is ignored, for it is defined for GET alone."""
    whole = {name: value for name, value in headers.items() if name != "Range"}
    get, head = await client.get("/", headers=whole), await client.head("/", headers=headers)
    assert (head.status_code, head.headers, head.content) == (get.status_code, get.headers, b"")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-", 10, 1024), ("bytes=-5", 1019, 1024), ("bytes=1000-9999", 1000, 1024)],
)
async def test_a_single_range(client: httpx.AsyncClient, asked: str, start: int, stop: int) -> None:
    """One range is 206 with those bytes and where they lie."""
    response = await client.get("/", headers={"Range": asked})
    assert (response.status_code, response.content) == (206, DATA[start:stop])
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert response.headers["content-length"] == str(stop - start)
    assert response.headers["content-type"] == "application/octet-stream"


def parts_of(response: httpx.Response) -> list[tuple[str, str, bytes]]:
    """The parts of a multipart answer: content range, media type, bytes."""
    kind, _, boundary = response.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    first, *parts, last = response.content.split(b"\r\n--" + boundary.encode())
    assert (first, last) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        match = re.fullmatch(rb"\r\nContent-Type: (.*)\r\nContent-Range: (.*)", head)
        assert match is not None
        found.append((match[2].decode(), match[1].decode(), body))
    return found


async def test_several_ranges(client: httpx.AsyncClient) -> None:
    """Several ranges are one multipart answer whose declared length is exact."""
    response = await client.get("/", headers={"Range": "bytes=0-1,100-102,-1"})
    assert response.status_code == 206
    assert response.headers["content-length"] == str(len(response.content))
    assert parts_of(response) == [
        ("bytes 0-1/1024", "application/octet-stream", DATA[0:2]),
        ("bytes 100-102/1024", "application/octet-stream", DATA[100:103]),
        ("bytes 1023-1023/1024", "application/octet-stream", DATA[1023:]),
    ]


@given(st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 300)), min_size=1, max_size=8))
async def test_whatever_is_asked_the_bytes_are_right(wanted: list[tuple[int, int]]) -> None:
    """For any ranges the answer holds the content's own bytes where it says they lie, and as many as declared."""
    header = "bytes=" + ",".join(f"{start}-{start + length}" for start, length in wanted)
    async with client_of() as client:
        response = await client.get("/", headers={"Range": header})
    if response.status_code == 416:
        assert all(start >= len(DATA) for start, _ in wanted)
        return
    assert int(response.headers["content-length"]) == len(response.content)
    if response.status_code == 200:
        assert response.content == DATA
    elif "content-range" in response.headers:
        assert _at(response.headers["content-range"]) == response.content
    else:
        assert all(_at(place) == body for place, _, body in parts_of(response))


def _at(content_range: str) -> bytes:
    match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/1024", content_range)
    assert match is not None
    return DATA[int(match[1]) : int(match[2]) + 1]


async def test_a_range_outside_the_content(client: httpx.AsyncClient) -> None:
    """A range behind the end is 416 and says how long the content is."""
    response = await client.get("/", headers={"Range": "bytes=1024-"})
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */1024")
    assert response.json()["errors"][0]["code"] == "RANGE_INVALID"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes", "bytes=", "bytes=a-b", "bytes=" + "0-0," * 100])
async def test_a_range_that_is_none_is_ignored(client: httpx.AsyncClient, asked: str) -> None:
    """Other units, malformed ranges and too many of them get the whole content."""
    response = await client.get("/", headers={"Range": asked})
    assert (response.status_code, response.content) == (200, DATA)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAG, 206),
        (f"W/{ETAG}", 200),
        ('"other"', 200),
        ("Tue, 24 Nov 2026 00:00:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ],
)
async def test_if_range(client: httpx.AsyncClient, condition: str, status: int) -> None:
    """The range counts only when the strong tag is the content's; a date never matches."""
    response = await client.get("/", headers={"Range": "bytes=0-9", "If-Range": condition})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAG, 304),
        (f"W/{ETAG}", 304),
        (f'"other", {ETAG}', 304),
        ("*", 304),
        ('"other"', 200),
        ("sha256:abc", 200),
        ('"sha256:ab"', 200),
    ],
)
async def test_if_none_match(client: httpx.AsyncClient, condition: str, status: int) -> None:
    """A client that has the content already gets 304 with the tag and no body, whatever range it asks for."""
    response = await client.get("/", headers={"If-None-Match": condition})
    assert response.status_code == status
    assert response.headers["etag"] == ETAG
    if status == 304:
        assert response.content == b""
        ranged = await client.get("/", headers={"If-None-Match": condition, "Range": "bytes=0-9"})
        assert ranged.status_code == 304
