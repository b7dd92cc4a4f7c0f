"""What uvicorn's request cycles lack."""

from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def body_first(cycle: RequestResponseCycle, receive: Receive) -> Receive:
    """A ``receive`` that hands out all that arrived of a body before it says that the client has left.

    uvicorn drops what waits to be read when the connection ends, so what an upload keeps would be left to chance.
    """

    async def attentive() -> Message:
        message = await receive()
        if message["type"] == "http.disconnect" and cycle.body and not cycle.response_complete:
            body, cycle.body = bytes(cycle.body), bytearray()
            return {"type": "http.request", "body": body, "more_body": cycle.more_body}
        return message

    return attentive
