"""Health and numbers, from the operations application in memory."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.metrics import Metrics
from entrepot.http.ops import Authorize, Gauge, ops_app
from entrepot.http.proxies import TrustedProxies
from entrepot.oci.errors import Denied


async def works() -> None:
    """A part that works."""


async def fails() -> None:  # ruff: ignore[unused-async]  a check's form
    """A part that fails, and says more than it should."""
    message = "postgresql://entrepot:hunter2@db"
    raise ConnectionError(message)


async def hangs() -> None:
    """A part that does not answer."""
    await asyncio.Future()


async def seven() -> float:  # ruff: ignore[unused-async]  a gauge's form
    """A number that can be read."""
    return 7.0


async def no_number() -> float:  # ruff: ignore[unused-async]  a gauge's form
    """A number that cannot be read."""
    raise ConnectionError


async def nobody(request: Request) -> None:  # ruff: ignore[unused-async]  an authorizer's form
    """Nobody may read the numbers."""
    raise Denied


async def ask(
    path: str,
    *,
    method: str = "GET",
    checks: dict[str, Callable[[], Awaitable[None]]] | None = None,
    gauges: list[Gauge] | None = None,
    authorize: Authorize | None = None,
) -> httpx.Response:
    """One request to the application with these parts."""
    metrics = Metrics()
    app = ops_app(checks=checks or {}, metrics=metrics, gauges=gauges or [], authorize=authorize)
    stack = front(app, limits=Limits(), metrics=metrics, proxies=TrustedProxies())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(stack), base_url="http://ops.example") as client:
        return await client.request(method, path)


async def test_a_process_that_answers_is_healthy() -> None:
    """Health asks nothing of anyone, so that a database that is away gets no process killed."""
    response = await ask("/healthz", checks={"database": fails})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_when_everything_works() -> None:
    """All checks passed: 200, each by name."""
    response = await ask("/readyz", checks={"database": works, "storage": works})
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": {"database": "ok", "storage": "ok"}}


async def test_not_ready_names_what_failed() -> None:
    """A failed or hanging check is 503 with its name and no word of its message, within a few seconds."""
    response = await asyncio.wait_for(ask("/readyz", checks={"database": fails, "mail": hangs, "storage": works}), 10)
    assert response.status_code == 503
    assert response.json() == {
        "status": "unavailable",
        "checks": {"database": "failed", "mail": "timed out", "storage": "ok"},
    }
    assert response.headers["cache-control"] == "no-store"


async def test_the_public_address_tells_no_details() -> None:
    """Where anybody may ask, the answer does not say what failed, and the numbers need a right."""
    ready = await ask("/readyz", checks={"database": fails}, authorize=nobody)
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})
    assert (await ask("/healthz", authorize=nobody)).status_code == 200
    numbers = await ask("/metrics", authorize=nobody)
    assert (numbers.status_code, numbers.json()["errors"][0]["code"]) == (403, "DENIED")


async def test_many_probes_are_one_check() -> None:
    """Probes at the same time share one outcome, so that nobody loads the database with them."""
    asked = 0

    async def counted() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)

    app = ops_app(checks={"database": counted}, metrics=Metrics())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ops.example") as client:
        responses = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))
    assert {response.status_code for response in responses} == {200}
    assert asked == 1


async def test_the_numbers_are_prometheus_text() -> None:
    """The answer parses, and a number that cannot be read is left out without taking the others along."""
    gauges = [Gauge("entrepot_sevens", "Sevens.", seven), Gauge("entrepot_missing", "Missing.", no_number)]
    response = await ask("/metrics", gauges=gauges)
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families["entrepot_sevens"].samples[0].value == 7
    assert families["entrepot_http_requests_in_flight"].samples[0].value == 1
    assert "entrepot_missing" not in families


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_head_is_answered_and_other_methods_are_not(path: str) -> None:
    """Probes may use HEAD; anything else is 405 with Allow."""
    assert (await ask(path, method="HEAD")).status_code == 200
    refused = await ask(path, method="POST")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/healthz/", "/v2/", "/metrics/x"])
async def test_nothing_else_is_there(path: str) -> None:
    """The operations address answers three paths."""
    assert (await ask(path)).status_code == 404
