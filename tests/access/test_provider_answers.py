"""A provider that is down, hostile or not what it should be: nobody is let in, and nobody waits long."""

import json
import logging
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from access.conftest import AUDIENCE, Clocks, ForgedLogin
from entrepot.access import Secret
from entrepot.access.providers import (
    DeviceState,
    OpenIdProvider,
    OpenIdRegistration,
    ProviderUnavailable,
    TrustedIssuer,
    WorkloadIssuers,
)
from entrepot.oci import RegistryError, Unauthorized
from harness.openid_provider import REDIRECT_URI
from harness.ports import free_port
from harness.scripted_issuer import DISCOVERY, JWKS, TOKEN, Reply, ScriptedIssuer

TIMEOUT = timedelta(milliseconds=300)


@pytest.fixture
async def provider(issuer: ScriptedIssuer, clocks: Clocks) -> AsyncGenerator[OpenIdProvider, None]:
    """A client of the issuer that has not asked it for anything yet."""
    made = OpenIdProvider(OpenIdRegistration(issuer.issuer, AUDIENCE, timeout=TIMEOUT), monotonic=clocks)
    yield made
    await made.close()


async def unavailable(provider: OpenIdProvider) -> object:
    """The reason why a login cannot begin."""
    with pytest.raises(ProviderUnavailable) as caught:
        await provider.begin(REDIRECT_URI)
    return caught.value.detail["reason"]


@pytest.mark.parametrize("other", ["https://login.example.com", "http://127.0.0.1:1", None, 7])
async def test_a_provider_that_calls_itself_differently(
    issuer: ScriptedIssuer, provider: OpenIdProvider, other: object
) -> None:
    """Metadata of another issuer is not taken (Discovery section 4.3)."""
    issuer.publish(issuer=other)
    assert await unavailable(provider) == "oidc-issuer"


async def test_an_issuer_with_a_slash_too_much(issuer: ScriptedIssuer) -> None:
    """Issuers compare exactly, character by character."""
    provider = OpenIdProvider(OpenIdRegistration(issuer.issuer + "/", AUDIENCE))
    assert await unavailable(provider) == "oidc-issuer"
    await provider.close()


async def test_redirects_are_not_followed(issuer: ScriptedIssuer, provider: OpenIdProvider) -> None:
    """Metadata that are said to be elsewhere are not fetched from there."""
    issuer.replies["/elsewhere"] = issuer.reply_to(DISCOVERY)
    issuer.replies[DISCOVERY] = Reply(status=302, headers={"Location": f"{issuer.issuer}/elsewhere"})
    assert await unavailable(provider) == "oidc-redirect"
    assert issuer.asked["/elsewhere"] == 0


@pytest.mark.parametrize("key", ["jwks_uri", "token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "//host/x", "https://u:p@host/x", "https:///x", "https://h/ x", "https://[x", 7]
)
async def test_endpoints_that_are_no_urls(
    issuer: ScriptedIssuer, provider: OpenIdProvider, key: str, url: object
) -> None:
    """Endpoints are URLs over HTTP without a login, or the metadata are refused."""
    issuer.publish(**{key: url})
    assert await unavailable(provider) == "oidc-url"


async def test_http_is_for_loopback() -> None:
    """A provider elsewhere is not asked without TLS, unless that is allowed; then it is only not there."""
    elsewhere = f"http://0.0.0.0:{free_port()}"
    for allowed, reason in ((False, "oidc-insecure"), (True, "oidc-connection")):
        provider = OpenIdProvider(OpenIdRegistration(elsewhere, AUDIENCE, allow_http=allowed))
        assert await unavailable(provider) == reason
        await provider.close()


async def test_endless_keys(issuer: ScriptedIssuer, forged_login: ForgedLogin) -> None:
    """A key set is read up to 1 MiB."""
    issuer.replies[JWKS] = Reply(b'{"keys": [', endless=True)
    with pytest.raises(ProviderUnavailable) as caught:
        await forged_login(issuer.mint(nonce=forged_login.nonce))
    assert caught.value.detail["reason"] == "oidc-too-large"


async def test_silence(issuer: ScriptedIssuer, provider: OpenIdProvider) -> None:
    """A provider that accepts connections and says nothing is given up after the time-out."""
    issuer.replies[DISCOVERY] = Reply(silent=True)
    began = time.monotonic()
    assert await unavailable(provider) == "oidc-timeout"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=500), "oidc-status"),
        (Reply(status=404), "oidc-status"),
        (Reply(b"<html>"), "oidc-malformed"),
        (Reply(b"[]"), "oidc-malformed"),
        (Reply(b'{"issuer": "a", "issuer": "b"}'), "oidc-malformed"),
        (Reply(b"[" * 100_000), "oidc-malformed"),
        (Reply(b"{}", headers={"Content-Encoding": "gzip"}), "oidc-malformed"),
    ],
)
async def test_answers_that_are_none(
    issuer: ScriptedIssuer, provider: OpenIdProvider, reply: Reply, reason: str
) -> None:
    """What is no JSON object, or no success, is no answer."""
    issuer.replies[DISCOVERY] = reply
    assert await unavailable(provider) == reason


async def test_a_dead_provider_is_asked_by_one_caller_in_five_seconds(
    issuer: ScriptedIssuer, provider: OpenIdProvider, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    """After a failure everyone is refused at once; then one tries. The log names the host, the refusal does not."""
    issuer.replies[DISCOVERY] = Reply(status=500)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            assert await unavailable(provider) == "oidc-status"
    assert issuer.asked[DISCOVERY] == 1
    assert [f"127.0.0.1:{issuer.port}" in message for message in caplog.messages] == [True]

    del issuer.replies[DISCOVERY]
    clocks.now += 5
    await provider.begin(REDIRECT_URI)
    assert issuer.asked[DISCOVERY] == 2


async def test_nobody_listens() -> None:
    """An unreachable issuer lets nobody in: not a person and not a workload."""
    issuer = f"http://127.0.0.1:{free_port()}"
    provider = OpenIdProvider(OpenIdRegistration(issuer, AUDIENCE))
    assert await unavailable(provider) == "oidc-connection"
    await provider.close()


async def test_keys_that_cannot_be_read_let_no_workload_in(issuer: ScriptedIssuer, workloads: WorkloadIssuers) -> None:
    """Without keys a token is neither good nor bad: 503, and the next is refused without asking."""
    issuer.replies[JWKS] = Reply(status=503)
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await workloads.verify(issuer.mint())
    assert issuer.asked[JWKS] == 1


@pytest.mark.parametrize("keys", [None, {}, [], [7], [{"kty": "oct", "k": "c2VjcmV0"}], [{"kty": "RSA"}] * 101])
async def test_key_sets_without_a_usable_key(issuer: ScriptedIssuer, workloads: WorkloadIssuers, keys: object) -> None:
    """Symmetric keys and what is none do not count; a set without others is unusable."""
    issuer.replies[JWKS] = Reply(json.dumps({"keys": keys}).encode())
    with pytest.raises(ProviderUnavailable) as caught:
        await workloads.verify(issuer.mint())
    assert caught.value.detail["reason"] == "oidc-keys"


async def test_a_private_key_in_the_set_does_not_count(issuer: ScriptedIssuer, workloads: WorkloadIssuers) -> None:
    """Who publishes a private key has nobody's key."""
    issuer.add_key("other")
    leaked = {**issuer.keys["key"][1].as_dict(private=True), "kid": "key"}
    other = {**issuer.keys["other"][1].as_dict(private=False), "kid": "other"}
    issuer.replies[JWKS] = Reply(json.dumps({"keys": [leaked, other]}).encode())
    with pytest.raises(Unauthorized) as caught:
        await workloads.verify(issuer.mint())
    assert caught.value.detail["reason"] == "key"


async def test_userinfo_of_somebody_else(issuer: ScriptedIssuer, forged_login: ForgedLogin) -> None:
    """Userinfo about another subject is not taken for this one's (Core section 5.3.2)."""
    issuer.publish(userinfo_endpoint=f"{issuer.issuer}/me")
    issuer.replies["/me"] = Reply(b'{"sub": "admin", "groups": ["admins"]}')
    provider = OpenIdProvider(OpenIdRegistration(issuer.issuer, AUDIENCE))
    login = ForgedLogin(issuer, provider, await provider.begin(REDIRECT_URI))
    with pytest.raises(Unauthorized) as caught:
        await login(issuer.mint(nonce=login.nonce, groups=None))
    assert caught.value.detail["reason"] == "subject"
    await provider.close()


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        (Reply(b'{"error": "invalid_grant"}', 400), Unauthorized, "code"),
        (Reply(b'{"error": "invalid_client"}', 401), ProviderUnavailable, "oidc-client"),
        (Reply(b'{"error": "unauthorized_client"}', 400), ProviderUnavailable, "oidc-client"),
        (Reply(b"{}", 400), ProviderUnavailable, "oidc-client"),
        (Reply(b'{"access_token": "x"}'), ProviderUnavailable, "oidc-malformed"),
        (Reply(b'{"id_token": 7}'), ProviderUnavailable, "oidc-malformed"),
    ],
)
async def test_refusals_of_the_token_endpoint(
    issuer: ScriptedIssuer, provider: OpenIdProvider, reply: Reply, error: type[RegistryError], reason: str
) -> None:
    """A code that the provider does not take is the caller's fault; a client that it does not take is ours."""
    request = await provider.begin(REDIRECT_URI)
    issuer.replies[TOKEN] = reply
    with pytest.raises(error) as caught:
        await provider.finish(Secret("code"), request)
    assert caught.value.detail["reason"] == reason


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ("authorization_pending", DeviceState.PENDING),
        ("slow_down", DeviceState.SLOW_DOWN),
        ("access_denied", DeviceState.DENIED),
        ("authorization_declined", DeviceState.DENIED),
        ("expired_token", DeviceState.EXPIRED),
    ],
)
async def test_states_of_a_device_login(
    issuer: ScriptedIssuer, provider: OpenIdProvider, error: str, state: DeviceState
) -> None:
    """Each answer of RFC 8628, and Entra's spelling of one, is a state and no failure."""
    issuer.replies[TOKEN] = Reply(json.dumps({"error": error}).encode(), 400)
    assert await provider.poll_device(Secret("device")) is state


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": ""},
        {"user_code": "A\nB"},
        {"user_code": None},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "https://user@host/"},
        {"expires_in": -1},
        {"expires_in": "600"},
        {"interval": 1e9},
    ],
)
async def test_device_authorizations_that_are_none(
    issuer: ScriptedIssuer, provider: OpenIdProvider, changes: dict[str, object]
) -> None:
    """What people are shown and programs wait for is checked; the interval may be left out."""
    issuer.publish(device_authorization_endpoint=f"{issuer.issuer}/device")
    whole = {"device_code": "d", "user_code": "A-B", "verification_uri": f"{issuer.issuer}/verify", "expires_in": 600}
    issuer.replies["/device"] = Reply(json.dumps(whole).encode())
    assert (await provider.start_device()).interval == timedelta(seconds=5)
    issuer.replies["/device"] = Reply(json.dumps(whole | changes).encode())
    with pytest.raises(ProviderUnavailable):
        await provider.start_device()


async def test_a_key_file_that_is_gone(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    """A workload issuer whose key file cannot be read lets nobody in."""
    missing = tmp_path / "missing.json"
    issuers = WorkloadIssuers([TrustedIssuer(issuer.issuer, AUDIENCE, jwks_file=missing)])
    with pytest.raises(ProviderUnavailable) as caught:
        await issuers.verify(issuer.mint())
    assert caught.value.detail["reason"] == "oidc-keys-file"
    await issuers.close()
