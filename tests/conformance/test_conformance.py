"""The OCI distribution specification's own suite against a registry that runs as its users run it."""

import os
import subprocess
import xml.etree.ElementTree as ET  # ruff: ignore[suspicious-xml-etree-import]  the suite's own report
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.fixtures import StartRegistry
from harness.programs import find_program
from harness.registry import ADMIN, LiveRegistry

# The pinned version runs 1030 cases when everything is on and passes; many fewer would mean that parts were left out.
CASES_AT_LEAST = 1000

SECONDS_AT_MOST = 300

# Every part of the suite is on, also what no released version of the specification asks for yet.
EVERYTHING = {
    "OCI_VERSION": "dev",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
    "OCI_DATA_SPARSE": "true",
}

# Part of the suite pushes an image without one of its layers. By default the registry refuses that with 404
# MANIFEST_BLOB_UNKNOWN, as the specification allows ("Push").
SPARSE = {"ENTREPOT_MANIFESTS__MISSING_BLOBS": "accept"}

PASSED = "passed"


@dataclass(frozen=True)
class Report:
    """What the suite found."""

    counts: dict[str, int]
    """Cases by ``tests``, ``failures``, ``errors``, ``skipped``, ``disabled``."""
    not_passed: list[str]
    """Each case that did not pass: its status, its name, what the suite says of it."""


def run_suite(registry: LiveRegistry, results: Path) -> Report:
    """Run the whole suite as the admin; what it says besides its report is shown when the test fails."""
    options = {
        **EVERYTHING,
        "OCI_REGISTRY": registry.address,
        "OCI_TLS": "disabled",
        "OCI_USERNAME": ADMIN,
        "OCI_PASSWORD": registry.admin_password,
        "OCI_RESULTS_DIR": str(results),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    # Its exit code is 0 also when it could not begin, and 1 on any failed case: the report is what counts.
    done = subprocess.run(
        [find_program("conformance")],
        env={**inherited, **options},
        cwd=results.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_AT_MOST,
        check=False,
    )
    report = results / "junit.xml"
    if not report.is_file():
        pytest.fail(f"the suite wrote no report:\n{done.stdout}\n{done.stderr}", pytrace=False)
    return read_report(report)


def read_report(path: Path) -> Report:
    """Read the suite's junit.xml.

    A case tells how it ended in its attribute ``status`` and why in ``system-out``; unlike in other reports it
    has no element ``failure``.
    """
    suites = ET.parse(path).getroot()  # ruff: ignore[suspicious-xml-element-tree-usage]  the suite's own report
    counts = {kind: int(suites.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped", "disabled")}
    not_passed = [
        f"{case.get('status')}: {case.get('name')}\n    {(case.findtext('system-out') or '').strip()}"
        for case in suites.iter("testcase")
        if case.get("status") != PASSED
    ]
    return Report(counts, not_passed)


def check_every_case(registry: LiveRegistry, results: Path) -> None:
    """Run the whole suite: every case has to be there and to pass; each that did not is listed."""
    report = run_suite(registry, results)

    if report.not_passed:
        cases = "\n".join(report.not_passed)
        pytest.fail(f"{len(report.not_passed)} of {report.counts['tests']} cases did not pass:\n{cases}", pytrace=False)
    assert report.counts["tests"] >= CASES_AT_LEAST
    assert {kind: count for kind, count in report.counts.items() if kind != "tests" and count} == {}


class TestOnSqlite:
    """The registry as `make run` starts it."""

    def test_every_case_passes(self, live_registry: StartRegistry, tmp_path: Path) -> None:
        """Every case of the specification's suite runs and passes."""
        check_every_case(live_registry(environment=SPARSE), tmp_path / "results")


class TestOnPostgresql:
    """The registry with its metadata in PostgreSQL."""

    def test_every_case_passes(self, live_registry: StartRegistry, tmp_path: Path) -> None:
        """Every case of the specification's suite runs and passes."""
        check_every_case(live_registry(database="postgresql", environment=SPARSE), tmp_path / "results")
