"""Streamed replies, with a sender that keeps what it is given."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest
from starlette.types import Message, Scope

from entrepot.http.errors import ClientGone
from entrepot.http.replies import StreamedReply
from entrepot.oci.errors import ContentDamaged

GET: Scope = {"type": "http", "method": "GET"}
HEAD: Scope = {"type": "http", "method": "HEAD"}


class Source:
    """Pieces that remember how many were asked for, and whether they were let go."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.read = 0
        self.closed = False
        self.pieces = self._read(pieces)

    async def _read(self, pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            for piece in pieces:
                self.read += 1
                yield piece
        finally:
            self.closed = True


class Sent:
    """Takes the messages of one answer; raises ClientGone after ``at_most`` of them."""

    def __init__(self, at_most: int = 1000) -> None:
        self.messages: list[Message] = []
        self._at_most = at_most

    async def __call__(self, message: Message) -> None:
        """Take one."""
        if len(self.messages) == self._at_most:
            raise ClientGone
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        """What was sent of the body."""
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def complete(self) -> bool:
        """Whether the end was announced."""
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1].get("more_body", False)


async def receive() -> Message:  # ruff: ignore[unused-async]  ASGI's form
    """Nothing that a reply may ask for."""
    raise AssertionError


@pytest.mark.parametrize(
    "pieces", [[], [b""], [b"abc"], [b"a", b"", b"bc"], [b"", b"abc", b""], [b"abc", b"", b""]], ids=repr
)
async def test_all_pieces_are_sent(pieces: list[bytes]) -> None:
    """The body is the pieces in order, its length is declared, its end announced, its source closed."""
    source, sent = Source(pieces), Sent()
    length = sum(map(len, pieces))
    await StreamedReply(source.pieces, length, headers={"X-A": "b"})(GET, receive, sent)
    assert (sent.body, sent.complete) == (b"".join(pieces), True)
    assert (b"content-length", str(length).encode()) in sent.messages[0]["headers"]
    assert (b"x-a", b"b") in sent.messages[0]["headers"]


async def test_head_reads_nothing() -> None:
    """HEAD is answered with the same start and without touching the source."""
    source, sent, whole = Source([b"abc"]), Sent(), Sent()
    await StreamedReply(source.pieces, 3, headers={})(HEAD, receive, sent)
    await StreamedReply(Source([b"abc"]).pieces, 3, headers={})(GET, receive, whole)
    assert sent.messages[0] == whole.messages[0]
    assert (sent.body, sent.complete, source.read) == (b"", True, 0)


@pytest.mark.parametrize("pieces", [[], [b"abcd"]], ids=repr)
async def test_missing_content_is_noticed_before_the_status(pieces: list[bytes]) -> None:
    """Content that is plainly not what was declared raises ContentDamaged while an error can still be answered."""
    source, sent = Source(pieces), Sent()
    reply = StreamedReply(source.pieces, 3, headers={})
    with pytest.raises(ContentDamaged):
        await reply(GET, receive, sent)
    assert sent.messages == []


@pytest.mark.parametrize("pieces", [[b"ab"], [b"ab", b"cd"]], ids=repr)
async def test_a_wrong_length_never_looks_complete(pieces: list[bytes]) -> None:
    """Content that turns out shorter or longer raises ContentDamaged, and the end is not announced."""
    source, sent = Source(pieces), Sent()
    reply = StreamedReply(source.pieces, 3, headers={})
    with pytest.raises(ContentDamaged):
        await reply(GET, receive, sent)
    assert not sent.complete
    assert len(sent.body) <= 3


async def test_a_client_that_leaves_ends_the_reading() -> None:
    """When the reader is gone no further piece is read, and the source is closed."""
    source, sent = Source([b"a"] * 100), Sent(at_most=3)
    reply = StreamedReply(source.pieces, 100, headers={})
    with pytest.raises(ClientGone):
        await reply(GET, receive, sent)
    assert source.closed
    assert source.read <= 4


async def test_a_source_that_fails_is_closed_and_its_error_kept() -> None:
    """An error of the source comes out as it is."""

    async def failing() -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  read as an asynchronous one
        yield b"a"
        raise FileNotFoundError

    reply = StreamedReply(failing(), 3, headers={})
    with pytest.raises(FileNotFoundError):
        await reply(GET, receive, Sent())
