"""Providers made from settings, and what the documentation shows of both."""

import re
from pathlib import Path

import pytest

from entrepot.access import Secret
from entrepot.access.providers.ldap_filters import DN, USERNAME, check_filter
from entrepot.compose import providers_of
from entrepot.settings import load_settings
from harness.openid_provider import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, OpenIdServer
from harness.slapd import BASE_DN, SEARCH_DN, SEARCH_PASSWORD, Slapd

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs").glob("login*.md"))
TABLES = re.compile(r"```toml\n(.*?)```", re.DOTALL)
FILTERS = re.compile(r"`(\([^`]*\{[^`]*\))`")


async def test_settings_make_providers_that_work(openid_provider: OpenIdServer, slapd: Slapd, tmp_path: Path) -> None:
    """People log in at both providers, and a workload by a token, with nothing but settings and files."""
    slapd.add_person("settled", "a password")
    for name, content in (("client", CLIENT_SECRET), ("search", SEARCH_PASSWORD)):
        (tmp_path / name).write_text(f"{content}\n", encoding="utf-8")
    config = tmp_path / "entrepot.toml"
    config.write_text(
        f"""
        [oidc]
        issuer = "{openid_provider.issuer}"
        client_id = "{CLIENT_ID}"
        client_secret_file = "{tmp_path}/client"
        scopes = ["openid", "profile", "groups"]
        [ldap]
        url = "{slapd.url}"
        ca_file = "{slapd.certificates.authority}"
        bind_dn = "{SEARCH_DN}"
        bind_password_file = "{tmp_path}/search"
        base_dn = "{BASE_DN}"
        [[workload.issuers]]
        issuer = "{openid_provider.issuer}"
        audience = "{CLIENT_ID}"
        """,
        encoding="utf-8",
    )
    providers = providers_of(load_settings({}, {}, config).settings)
    assert providers.openid is not None
    assert providers.ldap is not None
    assert providers.workloads is not None

    request = await providers.openid.begin(REDIRECT_URI)
    person = await providers.openid.finish(Secret(openid_provider.log_in(request.url, "u-1")["code"]), request)
    member = await providers.ldap.verify("settled", Secret("a password"))
    workload = await providers.workloads.verify(openid_provider.id_token("u-2"))
    await providers.close()

    assert (person.name, workload.subject) == ("alice", "u-2")
    assert member is not None
    assert member.name == "settled"


async def test_without_settings_nobody_else_vouches(tmp_path: Path) -> None:
    """No provider is there unless it is set."""
    config = tmp_path / "entrepot.toml"
    config.touch()
    providers = providers_of(load_settings({}, {}, config).settings)
    assert (providers.openid, providers.ldap, providers.workloads) == (None, None, None)
    await providers.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_of_the_page(page: Path, tmp_path: Path) -> None:
    """The settings that the page shows can be used as they stand."""
    shown = TABLES.findall(page.read_text(encoding="utf-8"))
    assert len(shown) == 3
    for name in ("oidc-secret", "ldap-password"):
        (tmp_path / name).write_text("secret", encoding="utf-8")
    config = tmp_path / "entrepot.toml"
    config.write_text("\n".join(shown).replace("/etc/entrepot", str(tmp_path)), encoding="utf-8")
    settings = load_settings({}, {}, config).settings
    assert settings.oidc.admin_group == settings.ldap.admin_group == "registry-admins"
    assert len(settings.workload.issuers) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_filters_of_the_page(page: Path, tmp_path: Path) -> None:
    """The filters that the page shows parse, and those for people are taken by the setting."""
    shown = FILTERS.findall(page.read_text(encoding="utf-8"))
    assert len(shown) >= 8
    config = tmp_path / "entrepot.toml"
    for template in shown:
        check_filter(template, USERNAME, DN)
        if USERNAME in template:
            config.write_text(f"[ldap]\nuser_filter = '{template}'\n", encoding="utf-8")
            assert load_settings({}, {}, config).settings.ldap.user_filter == template


def test_there_are_two_pages() -> None:
    """The tests above look at the page in both languages."""
    assert [page.name for page in PAGES] == ["login.md", "login.zh-CN.md"]
