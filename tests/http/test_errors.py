"""The shape of every error, as a client gets it over a socket."""

import importlib
import json
import pkgutil
from collections.abc import Generator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

import entrepot
from entrepot.http.errors import RETRY_AFTER, STATUSES, status_of, with_headers
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.listeners import Listener, by_listener
from entrepot.http.metrics import Metrics
from entrepot.http.proxies import TrustedProxies
from entrepot.http.server import serving
from entrepot.oci.errors import (
    BlobReferenced,
    Denied,
    ManifestBlobUnknown,
    MethodNotAllowed,
    RangeInvalid,
    RegistryError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UploadRangeInvalid,
)
from serving.wire import Answer, connected

SPECIFICATION_CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)
"""Distribution spec, "Error Codes"."""

OTHER_CODES = frozenset({"UNKNOWN", "UNAVAILABLE", "TAG_INVALID", "RANGE_INVALID", "PAGINATION_NUMBER_INVALID"})
"""Docker's, and UNAVAILABLE for what is neither the client's fault nor for ever."""


def _every_class() -> list[type[RegistryError]]:
    """Every class of error in the package, found by importing all of it that a server needs."""
    for module in pkgutil.walk_packages(entrepot.__path__, "entrepot."):
        if not module.name.startswith(("entrepot.testing", "entrepot.metadata.migrations")):
            importlib.import_module(module.name)
    found = {RegistryError}
    waiting = [RegistryError]
    while waiting:
        below = waiting.pop().__subclasses__()
        found.update(below)
        waiting.extend(below)
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))


EVERY_CLASS = _every_class()


class Raising:
    """An application that raises whatever it is told to, on the real server."""

    def __init__(self) -> None:
        self.error: BaseException = RegistryError()
        self.port = 0

    def build(self) -> ASGIApp:
        """The application."""
        app = front(self._raise, limits=Limits(), metrics=Metrics(), proxies=TrustedProxies())
        return by_listener({"public": app}, _no_lifespan)

    async def _raise(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        raise self.error

    def ask(self, error: BaseException, method: str = "GET") -> Answer:
        """What a client gets when a handler raises this."""
        self.error = error
        with connected(self.port) as wire:
            wire.request(f"{method} /v2/")
            return wire.answer(head=method == "HEAD")


@asynccontextmanager
async def _no_lifespan() -> Any:
    yield


@pytest.fixture(scope="module")
def raising() -> Generator[Raising, None, None]:
    """A server whose handlers raise."""
    app = Raising()
    with serving(partial(Raising.build, app), [Listener("public", "127.0.0.1", 0)], limits=Limits()) as [address]:
        app.port = address.port
        yield app


@pytest.mark.parametrize("cls", EVERY_CLASS, ids=lambda cls: cls.__name__)
def test_every_error_has_the_specified_shape(raising: Raising, cls: type[RegistryError]) -> None:
    """Each class is answered with its status and one entry of code, message and detail; HEAD alike, without a body."""
    answer = raising.ask(cls(reason="because", size=5))
    (entry,) = json.loads(answer.body)["errors"]
    assert entry == {"code": cls.code, "message": cls.message, "detail": {"reason": "because", "size": 5}}
    assert cls.code in SPECIFICATION_CODES | OTHER_CODES
    assert 400 <= answer.status < 600
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert "x-request-id" in answer.headers
    assert ("retry-after" in answer.headers) == (answer.status in RETRY_AFTER)
    assert ("allow" in answer.headers) == (answer.status == 405)

    head = raising.ask(cls(reason="because", size=5), "HEAD")
    different = {"date", "x-request-id"}
    assert head.status == answer.status
    assert {k: v for k, v in head.headers.items() if k not in different} == {
        k: v for k, v in answer.headers.items() if k not in different
    }


@pytest.mark.parametrize("cls", EVERY_CLASS, ids=lambda cls: cls.__name__)
def test_messages_are_constants(cls: type[RegistryError]) -> None:
    """A class says what it means without values, so that it can be translated, and in no more than a line."""
    assert cls.message
    assert cls.message.isprintable()
    assert not cls.message.endswith(".")
    assert cls().detail == {}


def test_the_table_names_no_class_twice() -> None:
    """A class with the status of its nearest base in the table has no row of its own."""
    for cls, status in STATUSES.items():
        bases = [base for base in cls.__mro__[1:] if base in STATUSES and base is not RegistryError]
        assert not bases or STATUSES[bases[0]] != status, cls


def test_what_nobody_foresaw_is_500(raising: Raising) -> None:
    """An unexpected exception is UNKNOWN with the request's id, and nothing of what it says gets out."""
    answer = raising.ask(RuntimeError("hunter2"))
    assert answer.status == 500
    assert b"hunter2" not in answer.body
    assert json.loads(answer.body)["errors"] == [
        {
            "code": "UNKNOWN",
            "message": RegistryError.message,
            "detail": {"request_id": answer.headers["x-request-id"]},
        }
    ]


def test_missing_blobs_are_named_one_by_one(raising: Raising) -> None:
    """A manifest that lacks several blobs gets an entry for each."""
    answer = raising.ask(ManifestBlobUnknown(digests=["sha256:a", "sha256:b"]))
    assert answer.status == 404
    assert [(entry["code"], entry["detail"]) for entry in json.loads(answer.body)["errors"]] == [
        ("MANIFEST_BLOB_UNKNOWN", {"digest": "sha256:a"}),
        ("MANIFEST_BLOB_UNKNOWN", {"digest": "sha256:b"}),
    ]


def test_the_message_of_a_denial_names_the_right(raising: Raising) -> None:
    """Clients that show no details show which right it takes; a denial for another reason has its own message alone."""
    (entry,) = json.loads(raising.ask(Denied(scope="repository:a/b:pull,push")).body)["errors"]
    assert entry == {
        "code": "DENIED",
        "message": "requested access to the resource is denied: it takes repository:a/b:pull,push",
        "detail": {"scope": "repository:a/b:pull,push"},
    }
    (entry,) = json.loads(raising.ask(Denied(reason="inherited")).body)["errors"]
    assert entry["message"] == Denied.message


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ({"reason": "disabled"}, ": the account is disabled"),
        ({"reason": "expired"}, ": the credential has expired"),
        ({"reason": "revoked"}, ": the credential was revoked"),
        ({"reason": "key-file", "field": "secret"}, ": the key file has no valid secret"),
        ({"reason": "key-file", "field": "$"}, ": the key file has no valid JSON object"),
        ({"reason": "credentials"}, ""),
        ({"reason": "signature"}, ""),
        ({}, ""),
    ],
)
def test_the_message_of_a_401_says_what_can_be_mended(raising: Raising, detail: dict[str, str], why: str) -> None:
    """Why a credential counts no more, or what a key file lacks; nothing else that somebody who guesses could use."""
    (entry,) = json.loads(raising.ask(Unauthorized(**detail)).body)["errors"]
    assert entry == {"code": "UNAUTHORIZED", "message": f"authentication required{why}", "detail": detail}


@pytest.mark.parametrize(
    ("error", "status", "name", "value"),
    [
        (RangeInvalid(size=10), 416, "content-range", "bytes */10"),
        (UploadRangeInvalid(offset=10), 416, "range", "0-9"),
        (UploadRangeInvalid(offset=0), 416, "range", "0-0"),
        (MethodNotAllowed(allow=["GET", "HEAD"]), 405, "allow", "GET, HEAD"),
        (BlobReferenced(allow="GET, HEAD", manifests=["sha256:a"]), 405, "allow", "GET, HEAD"),
        (TooManyRequests(retry_after=17), 429, "retry-after", "17"),
        (Unavailable(), 503, "retry-after", str(RETRY_AFTER[503])),
        (
            with_headers(Unauthorized(), {"WWW-Authenticate": 'Bearer realm="x"'}),
            401,
            "www-authenticate",
            'Bearer realm="x"',
        ),
    ],
)
def test_headers_that_go_with_an_error(
    raising: Raising, error: RegistryError, status: int, name: str, value: str
) -> None:
    """Statuses bring the headers that HTTP asks for, and errors those that they carry."""
    answer = raising.ask(error)
    assert (answer.status, answer.headers[name]) == (status, value)


def test_detail_may_be_nested(raising: Raising) -> None:
    """Lists, tuples and mappings in a detail arrive as JSON."""
    answer = raising.ask(Unavailable(found=("a", {"b": [1, None, True]})))
    assert json.loads(answer.body)["errors"][0]["detail"] == {"found": ["a", {"b": [1, None, True]}]}


def test_a_subclass_has_its_base_s_status() -> None:
    """A new class of error needs no row in the table."""

    class Elsewhere(Unavailable):
        """Another way to be away."""

    assert status_of(Elsewhere()) == 503
