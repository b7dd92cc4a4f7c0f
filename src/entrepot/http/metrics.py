"""The numbers that Prometheus collects, over all worker processes."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from typing_extensions import override

from entrepot.oci.errors import ContentDamaged, RegistryError, StorageFull, Unauthorized, Unavailable

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks when it is first imported: several workers then share files in that directory."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""From a cached manifest to a blob of many gigabytes over a slow line."""


_NO_REFUSED_LOGIN: Final = frozenset({None, "anonymous", "insufficient-scope"})
"""Reasons of challenges to which nobody's credentials led."""

Measured: TypeAlias = float | Mapping[tuple[str, ...], float]
"""A number, or one for each combination of labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gauge showed when it was read."""

    name: str
    documentation: str
    labels: tuple[str, ...]
    value: Measured


class Metrics:
    """Counters of one process; ``exposition`` adds up those of all workers where there are several.

    Build one per process: two would write the same shared file. Labels are route templates, methods and statuses,
    reasons of refusals, never what a client chose, so their number is bounded.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "entrepot_http_requests", "Requests answered.", ("route", "method", "code"), registry=registry
        )
        self._seconds = Histogram(
            "entrepot_http_request_duration_seconds",
            "Time from the request's headers to the end of its answer.",
            ("route", "method"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._received = Counter(
            "entrepot_http_request_bytes", "Bytes of request bodies.", ("route",), registry=registry
        )
        self._sent = Counter("entrepot_http_response_bytes", "Bytes of response bodies.", ("route",), registry=registry)
        self._running = Gauge(
            "entrepot_http_requests_in_flight",
            "Requests being served.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._refused_logins = Counter(
            "entrepot_logins_refused",
            "Requests whose credentials did not hold, by what was wrong with them.",
            ("reason",),
            registry=registry,
        )
        self._late_loops = Counter(
            "entrepot_event_loop_late",
            "Times that the event loop of a process came back more than 100 ms late: busy itself, or kept waiting.",
            ("cause",),
            registry=registry,
        )
        self._store_errors = Counter(
            "entrepot_store_errors",
            "Requests that failed because storage or database was full, damaged or away.",
            ("error",),
            registry=registry,
        )

        self._certificate_ends = Gauge(
            "entrepot_tls_certificate_expiry_seconds",
            "When the TLS certificate that is served ends, in Unix time; of several workers the first to end.",
            ("listener",),
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._tls_reloads = Counter(
            "entrepot_tls_reloads",
            "Times that changed certificate files were read, by outcome: served from then on, or refused as of no use.",
            ("listener", "outcome"),
            registry=registry,
        )

    def began(self) -> None:
        """Count a request that begins."""
        self._running.inc()

    def ended(
        self,
        *,
        route: str,
        method: str,
        status: int,
        took: timedelta,
        received: int,
        sent: int,
        error: RegistryError | None,
    ) -> None:
        """Count a request that has ended, and the error that it was answered with."""
        self._running.dec()
        known_method = method if method in _METHODS else "OTHER"
        self._requests.labels(route, known_method, str(status)).inc()
        self._seconds.labels(route, known_method).observe(took.total_seconds())
        if received:
            self._received.labels(route).inc(received)
        if sent:
            self._sent.labels(route).inc(sent)
        if isinstance(error, Unauthorized) and (reason := error.detail.get("reason")) not in _NO_REFUSED_LOGIN:
            self._refused_logins.labels(str(reason)).inc()
        if isinstance(error, StorageFull | Unavailable | ContentDamaged):
            self._store_errors.labels(type(error).__name__).inc()

    def loop_was_late(self, cause: str) -> None:
        """Count that requests had to wait for the event loop, which was ``busy`` or ``waiting``."""
        self._late_loops.labels(cause).inc()

    def certificate_ends(self, listener: str, not_after: datetime) -> None:
        """Show when the certificate ends that a listener serves from now on."""
        self._certificate_ends.labels(listener).set(not_after.timestamp())

    def certificate_read(self, listener: str, *, served: bool) -> None:
        """Count that changed certificate files were read."""
        self._tls_reloads.labels(listener, "served" if served else "refused").inc()

    def exposition(self, readings: Iterable[Reading]) -> bytes:
        """Everything in Prometheus' text format, with the gauges that were read for this answer.

        Blocks for the files of the other workers: call it in a thread.
        """
        scraped = CollectorRegistry()
        for reading in readings:
            scraped.register(_Read(reading))
        if shared_directory() is None:
            return generate_latest(self._registry) + generate_latest(scraped)
        MultiProcessCollector(scraped)  # type: ignore[no-untyped-call]
        return generate_latest(scraped)


class _Read(Collector):
    """A gauge whose value was read for one answer."""

    def __init__(self, reading: Reading) -> None:
        self._family = family = GaugeMetricFamily(reading.name, reading.documentation, labels=reading.labels)
        values = reading.value if isinstance(reading.value, Mapping) else {(): reading.value}
        for labels, value in values.items():
            family.add_metric(labels, value)

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield self._family


def shared_directory() -> Path | None:
    """The directory that workers share their numbers in; None where one process serves alone."""
    directory = os.environ.get(DIRECTORY_VARIABLE)
    return Path(directory) if directory else None


def forget_worker(pid: int, directory: Path) -> None:
    """Take a dead worker's gauges out of the sums; its counters stay, for counters never fall."""
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
