"""Log lines and numbers of requests, from an application in memory."""

import io
import json
import logging
import re
from collections.abc import Generator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrepot.access import Principal, PrincipalKind
from entrepot.http.errors import ClientGone
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.logs import JsonLines
from entrepot.http.metrics import Metrics, Reading
from entrepot.http.observation import observation_of
from entrepot.http.proxies import TrustedProxies
from entrepot.oci.errors import Denied, StorageFull

logger = logging.getLogger("entrepot.somewhere")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Do what the path says, as a handler that fills in its observation."""
    request = Request(scope, receive)
    observation = observation_of(request)
    observation.route = "/v2/<name>/blobs/<digest>"
    observation.repository = "team/app"
    observation.principal = Principal(PrincipalKind.USER, "u1", "alice")
    match scope["path"]:
        case "/denied":
            raise Denied
        case "/full":
            raise StorageFull
        case "/gone":
            raise ClientGone
        case "/quiet":
            observation.quiet = True
        case "/log":
            logger.warning("seen")
        case "/broken":
            raise RuntimeError
        case _:
            pass
    body = await request.body()
    await Response(b"answer:" + body)(scope, receive, send)


class Observing:
    """The application with a client, and what it has logged and counted."""

    def __init__(self, log: io.StringIO, proxies: TrustedProxies) -> None:
        self.log = log
        self._metrics = Metrics()
        self._app = front(application, limits=Limits(), metrics=self._metrics, proxies=proxies)

    async def __call__(self, method: str, url: str, **given: Any) -> httpx.Response:
        """Make one request."""
        transport = httpx.ASGITransport(self._app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.example") as client:
            return await client.request(method, url, **given)

    def lines(self, logger_name: str = "entrepot.access") -> list[dict[str, Any]]:
        """What was written to the log."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["logger"] == logger_name]

    def number(self, name: str) -> float:
        """A sample, by its name and labels as Prometheus reads them."""
        for line in self._metrics.exposition([]).decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0.0


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Generator[io.StringIO, None, None]:
    """The log as it is written."""
    caplog.set_level(logging.INFO)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def observing(log: io.StringIO) -> Observing:
    """An observed application that trusts no proxy."""
    return Observing(log, TrustedProxies())


async def test_a_request_is_one_line(observing: Observing) -> None:
    """The line says what was done to what by whom, in how much time and how many bytes."""
    response = await observing("PUT", "/x", content=b"12345", headers={"User-Agent": "docker/29"})
    (line,) = observing.lines()
    assert line.pop("duration_ms") >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "entrepot.access",
        "message": "request",
        "request_id": response.headers["x-request-id"],
        "method": "PUT",
        "route": "/v2/<name>/blobs/<digest>",
        "status": 200,
        "principal": "alice",
        "repository": "team/app",
        "bytes_in": 5,
        "bytes_out": 12,
        "remote": "192.0.2.1",
        "user_agent": "docker/29",
    }


async def test_a_line_holds_no_secret(observing: Observing) -> None:
    """Paths, queries, credentials and cookies stay out of the log."""
    await observing(
        "GET",
        "/hunter2?password=hunter2",
        headers={"Authorization": "Bearer hunter2", "Cookie": "session=hunter2", "Referer": "http://hunter2"},
    )
    assert "hunter2" not in json.dumps(observing.lines())


async def test_a_line_cannot_be_forged(observing: Observing) -> None:
    """Control and other special characters of a client are escaped, so that a line stays a line."""
    await observing("GET", "/", headers={"User-Agent": b"a\tb\x1b[31m\xe9\x85"})
    (text,) = [line for line in observing.log.getvalue().splitlines() if "entrepot.access" in line]
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["user_agent"] == "a\tb\x1b[31m\xe9\x85"


@pytest.mark.parametrize("given", ["abc-1.2_3", "a" * 128])
async def test_a_sane_request_id_is_kept(observing: Observing, given: str) -> None:
    """The id of the caller goes through the log and back."""
    response = await observing("GET", "/", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given
    assert observing.lines()[0]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", "a;b", "\u00e9", 'a"b'])
async def test_any_other_request_id_is_replaced(observing: Observing, given: str) -> None:
    """What could mean something to a log reader is not taken over."""
    response = await observing("GET", "/", headers={"X-Request-ID": given.encode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


async def test_lines_of_other_rooms_carry_the_request_id(observing: Observing) -> None:
    """Whatever is logged while a request is served can be found by its id."""
    response = await observing("GET", "/log")
    assert observing.lines("entrepot.somewhere")[0]["request_id"] == response.headers["x-request-id"]


async def test_errors_stand_in_line_and_numbers(observing: Observing) -> None:
    """A refusal is logged with its code, and a failing store is counted by its kind."""
    await observing("GET", "/denied")
    await observing("GET", "/full")
    assert [(line["status"], line["code"]) for line in observing.lines()] == [(403, "DENIED"), (507, "UNAVAILABLE")]
    assert observing.number('entrepot_store_errors_total{error="StorageFull"}') == 1
    assert observing.number('entrepot_store_errors_total{error="Denied"}') == 0


async def test_a_client_that_left_is_499(observing: Observing) -> None:
    """Nobody was answered, and the log says so."""
    with pytest.raises(AssertionError):
        await observing("GET", "/gone")  # httpx asserts that there is an answer
    (line,) = observing.lines()
    assert (line["status"], line["code"]) == (499, "CLIENT_GONE")


async def test_probes_are_quiet_unless_they_fail(observing: Observing) -> None:
    """A quiet request that succeeds leaves no line at the usual level."""
    await observing("GET", "/quiet")
    assert observing.lines() == []


async def test_numbers_are_counted_by_route(observing: Observing) -> None:
    """Requests, times and bytes are counted under the route's template, and nothing is left in flight."""
    await observing("PUT", "/x", content=b"12345")
    await observing("HEAD", "/y")
    await observing("BREW", "/z")
    route = 'route="/v2/<name>/blobs/<digest>"'
    assert observing.number(f'entrepot_http_requests_total{{code="200",method="PUT",{route}}}') == 1
    assert observing.number(f'entrepot_http_requests_total{{code="200",method="HEAD",{route}}}') == 1
    assert observing.number(f'entrepot_http_requests_total{{code="200",method="OTHER",{route}}}') == 1
    assert observing.number(f'entrepot_http_request_duration_seconds_count{{method="PUT",{route}}}') == 1
    assert observing.number(f"entrepot_http_request_bytes_total{{{route}}}") == 5
    assert observing.number(f"entrepot_http_response_bytes_total{{{route}}}") == len(b"answer:12345" + b"answer:")
    assert observing.number("entrepot_http_requests_in_flight") == 0


async def test_a_trusted_proxy_s_client_is_logged(log: io.StringIO) -> None:
    """Behind a proxy the line names the client, not the proxy."""
    observing = Observing(log, TrustedProxies((ip_network("192.0.2.0/24"),)))
    await observing("GET", "/", headers={"X-Forwarded-For": "198.51.100.4"})
    assert observing.lines()[0]["remote"] == "198.51.100.4"


async def test_an_unexpected_error_is_logged_with_its_trace(observing: Observing) -> None:
    """The trace stands in the log under the request id, and only there."""
    response = await observing("GET", "/broken")
    (line,) = observing.lines("entrepot.http.errors")
    assert "RuntimeError" in line["exception"]
    assert line["request_id"] == response.json()["errors"][0]["detail"]["request_id"]
    assert "Traceback" not in response.text


def test_readings_stand_among_the_numbers() -> None:
    """Gauges that were read for one answer are part of it."""
    metrics = Metrics()
    metrics.began()
    metrics.ended(route="/", method="GET", status=200, took=timedelta(seconds=1), received=0, sent=0, error=None)
    text = metrics.exposition([Reading("entrepot_open_uploads", "Open uploads.", (), 3.0)]).decode()
    assert "\nentrepot_open_uploads 3.0\n" in text
    assert "# HELP entrepot_open_uploads Open uploads." in text
