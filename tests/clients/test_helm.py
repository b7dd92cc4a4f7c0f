"""helm: charts."""

from pathlib import Path

import pytest

from clients.helm import HTTP, Helm
from clients.logins import REFUSED, LoginContract
from harness.registry import LiveRegistry


@pytest.fixture
def helm(tmp_path: Path, private_registry: LiveRegistry) -> Helm:
    """The helm command of the admin, in a folder with the chart that `helm create` makes, version 0.1.0."""
    helm = Helm(tmp_path / "helm")
    helm.log_in(private_registry)
    helm("create", "web")
    return helm


class TestLogins(LoginContract):
    """Every way to log in."""

    @pytest.fixture
    def carrier(self, tmp_path: Path) -> Helm:
        """The helm command of someone who has not logged in anywhere."""
        return Helm(tmp_path / "nobodys-helm")


def package(helm: Helm, version: str) -> Path:
    """Pack a version of the chart."""
    helm("package", "--version", version, "web")
    return helm.folder / f"web-{version}.tgz"


def test_a_wrong_password_is_refused(helm: Helm, private_registry: LiveRegistry) -> None:
    """`helm registry login` tells a wrong password from the right one."""
    said = helm.log_in(private_registry, "not-the-password", expected_to_fail=True)

    assert REFUSED.search(said)
    helm.log_in(private_registry)


def test_a_chart_comes_back_byte_by_byte(helm: Helm, private_registry: LiveRegistry) -> None:
    """The archive that was pushed is the one that comes, and helm reads its description without it."""
    charts = f"oci://{private_registry.address}/helm/charts"
    archive = package(helm, "0.1.0")
    helm("push", HTTP, archive, charts)
    (helm.folder / "charts").mkdir()

    said = helm("show", "chart", HTTP, f"{charts}/web", "--version", "0.1.0")
    helm("pull", HTTP, f"{charts}/web", "--version", "0.1.0", "--destination", helm.folder / "charts")

    assert "name: web" in said
    assert (helm.folder / "charts" / archive.name).read_bytes() == archive.read_bytes()


def test_the_newest_version_is_found(helm: Helm, private_registry: LiveRegistry) -> None:
    """Without a version, and by a range of versions, helm picks from the list of tags."""
    chart = f"oci://{private_registry.address}/helm/versions/web"
    for version in ("0.9.0", "0.10.0", "1.0.0+build.7"):
        helm("push", HTTP, package(helm, version), chart.removesuffix("/web"))

    newest = helm("show", "chart", HTTP, chart)
    in_range = helm("show", "chart", HTTP, chart, "--version", "~0.9")

    assert "version: 1.0.0+build.7" in newest
    assert "version: 0.9.0" in in_range


def test_a_chart_is_rendered_from_the_registry(helm: Helm, private_registry: LiveRegistry) -> None:
    """`helm template` takes the chart from where it was pushed."""
    charts = f"oci://{private_registry.address}/helm/rendered"
    helm("push", HTTP, package(helm, "0.1.0"), charts)

    said = helm("template", HTTP, "release", f"{charts}/web", "--version", "0.1.0")

    assert "kind: Deployment" in said
