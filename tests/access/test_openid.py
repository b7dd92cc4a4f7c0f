"""Logging in at a certified provider: code flow with PKCE, device grant, rotation of keys, TLS."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qs, urlsplit

import pytest

from access.conftest import Clocks
from entrepot.access import Secret
from entrepot.access.providers import (
    DeviceState,
    ExternalIdentity,
    IdentityRefused,
    OpenIdProvider,
    OpenIdRegistration,
    ProviderUnavailable,
)
from entrepot.oci import Unauthorized
from harness.certificates import make_certificates
from harness.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    PUBLIC_CLIENT_ID,
    REDIRECT_URI,
    Algorithm,
    OpenIdServer,
    running_openid_provider,
)

SCOPES = ("openid", "profile", "groups")


def registration(server: OpenIdServer, **changes: object) -> OpenIdRegistration:
    """The confidential client at a server."""
    given: dict[str, object] = {"client_secret": Secret(CLIENT_SECRET), "scopes": SCOPES, **changes}
    return OpenIdRegistration(server.issuer, CLIENT_ID, **given)  # type: ignore[arg-type]


async def log_in(provider: OpenIdProvider, server: OpenIdServer, subject: str) -> ExternalIdentity:
    """A whole login in a browser."""
    request = await provider.begin(REDIRECT_URI)
    back = server.log_in(request.url, subject)
    assert request.has_state(back["state"])
    return await provider.finish(Secret(back["code"]), request)


@pytest.fixture
async def provider(openid_provider: OpenIdServer) -> AsyncGenerator[OpenIdProvider, None]:
    """A confidential client of the provider."""
    made = OpenIdProvider(registration(openid_provider))
    yield made
    await made.close()


@pytest.fixture
def own_provider() -> Generator[OpenIdServer, None, None]:
    """A provider that a test may stop."""
    with running_openid_provider() as server:
        yield server


async def test_code_flow(provider: OpenIdProvider, openid_provider: OpenIdServer) -> None:
    """A login brings issuer, subject, name and groups."""
    expected = ExternalIdentity(openid_provider.issuer, "u-1", "alice", frozenset({"developers", "admins"}))
    assert await log_in(provider, openid_provider, "u-1") == expected
    assert (await log_in(provider, openid_provider, "u-2")).groups == frozenset()


async def test_a_public_client(openid_provider: OpenIdServer) -> None:
    """Without a secret the verifier of PKCE alone stands for the client."""
    provider = OpenIdProvider(OpenIdRegistration(openid_provider.issuer, PUBLIC_CLIENT_ID, scopes=SCOPES))
    assert (await log_in(provider, openid_provider, "u-1")).name == "alice"
    await provider.close()


async def test_a_request_tells_nothing_that_finishes_it(provider: OpenIdProvider) -> None:
    """The URL has the challenge, state and nonce, each login others; the verifier shows nowhere."""
    one, other = await provider.begin(REDIRECT_URI), await provider.begin(REDIRECT_URI)
    query = parse_qs(urlsplit(one.url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["response_type"] == ["code"]
    assert query["state"] == [one.state]
    assert query["nonce"] == [one.nonce]
    assert not {one.state, one.nonce, one.verifier.reveal()} & {other.state, other.nonce, other.verifier.reveal()}
    assert one.verifier.reveal() not in one.url + repr(one)
    assert not one.has_state(other.state)
    assert not one.has_state("\udcff")


async def test_a_code_of_another_login(provider: OpenIdProvider, openid_provider: OpenIdServer) -> None:
    """A stolen code is of no use with the verifier of another request (RFC 7636)."""
    victim, attacker = await provider.begin(REDIRECT_URI), await provider.begin(REDIRECT_URI)
    back = openid_provider.log_in(victim.url, "u-1")
    with pytest.raises(Unauthorized) as caught:
        await provider.finish(Secret(back["code"]), attacker)
    assert caught.value.detail["reason"] == "code"


async def test_a_code_counts_once(provider: OpenIdProvider, openid_provider: OpenIdServer) -> None:
    """A code that was used, or is none, is refused."""
    request = await provider.begin(REDIRECT_URI)
    code = Secret(openid_provider.log_in(request.url, "u-1")["code"])
    await provider.finish(code, request)
    for bad in (code, Secret("made up"), Secret(""), Secret("x" * 5000)):
        with pytest.raises(Unauthorized) as caught:
            await provider.finish(bad, request)
        assert caught.value.detail["reason"] == "code"


async def test_a_wrong_client_secret(openid_provider: OpenIdServer) -> None:
    """The provider not taking this client is for its operator: unavailable, and nobody gets in."""
    provider = OpenIdProvider(registration(openid_provider, client_secret=Secret("wrong")))
    with pytest.raises(ProviderUnavailable) as caught:
        await log_in(provider, openid_provider, "u-1")
    assert caught.value.detail["reason"] == "oidc-client"
    await provider.close()


async def test_more_groups_than_anybody_may_have(provider: OpenIdProvider, openid_provider: OpenIdServer) -> None:
    """1001 groups refuse the login."""
    with pytest.raises(IdentityRefused) as caught:
        await log_in(provider, openid_provider, "u-3")
    assert caught.value.detail["reason"] == "groups"


async def test_claims_that_are_called_otherwise(openid_provider: OpenIdServer) -> None:
    """Other claims can hold name and groups; without a groups claim there are no groups, without a name no login."""
    provider = OpenIdProvider(registration(openid_provider, username_claim="sub", groups_claim="roles"))
    assert await log_in(provider, openid_provider, "u-1") == ExternalIdentity(
        openid_provider.issuer, "u-1", "u-1", frozenset()
    )
    await provider.close()
    provider = OpenIdProvider(registration(openid_provider, username_claim="email"))
    with pytest.raises(IdentityRefused) as caught:
        await log_in(provider, openid_provider, "u-1")
    assert caught.value.detail["reason"] == "name"
    await provider.close()


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
async def test_claims_in_userinfo_and_each_algorithm(algorithm: Algorithm) -> None:
    """A provider that keeps claims for userinfo is asked there, whatever it signs with."""
    with running_openid_provider(algorithm=algorithm, claims_in_userinfo_only=True) as server:
        provider = OpenIdProvider(registration(server))
        identity = await log_in(provider, server, "u-1")
        await provider.close()
    assert identity == ExternalIdentity(server.issuer, "u-1", "alice", frozenset({"developers", "admins"}))


async def test_device_grant(provider: OpenIdProvider, openid_provider: OpenIdServer) -> None:
    """A login on another device is pending until somebody confirms it, and counts once."""
    device = await provider.start_device()
    assert device.verification_uri_complete is not None
    assert device.device_code.reveal() not in repr(device)
    assert await provider.poll_device(device.device_code) is DeviceState.PENDING
    openid_provider.approve_device(device.verification_uri_complete, "u-1")
    identity = await provider.poll_device(device.device_code)
    assert isinstance(identity, ExternalIdentity)
    assert identity.subject == "u-1"
    assert identity.groups == {"developers", "admins"}
    with pytest.raises(Unauthorized):
        await provider.poll_device(device.device_code)


async def test_device_grant_declined(provider: OpenIdProvider, openid_provider: OpenIdServer) -> None:
    """Whoever declines lets nobody in."""
    device = await provider.start_device()
    assert device.verification_uri_complete is not None
    openid_provider.approve_device(device.verification_uri_complete, "u-1", approve=False)
    assert await provider.poll_device(device.device_code) is DeviceState.DENIED


async def test_made_up_device_codes(provider: OpenIdProvider) -> None:
    """A device code that the provider does not know is refused."""
    for code in ("made-up", "", "x" * 5000):
        with pytest.raises(Unauthorized) as caught:
            await provider.poll_device(Secret(code))
        assert caught.value.detail["reason"] == "code"


async def test_rotated_keys_are_found(own_provider: OpenIdServer, clocks: Clocks) -> None:
    """A new key is read when its first token comes."""
    provider = OpenIdProvider(registration(own_provider), monotonic=clocks)
    await log_in(provider, own_provider, "u-1")
    own_provider.rotate_keys()
    clocks.now += 60
    assert (await log_in(provider, own_provider, "u-1")).name == "alice"
    await provider.close()


async def test_a_provider_that_is_gone(own_provider: OpenIdServer) -> None:
    """Nobody is let in while the provider is down, and logins work again when it is back."""
    clocks = Clocks()
    provider = OpenIdProvider(registration(own_provider), monotonic=clocks)
    request = await provider.begin(REDIRECT_URI)
    back = own_provider.log_in(request.url, "u-1")
    own_provider.stop()
    with pytest.raises(ProviderUnavailable) as caught:
        await provider.finish(Secret(back["code"]), request)
    assert caught.value.detail["reason"] == "oidc-connection"
    own_provider.start()
    clocks.now += 5
    assert (await log_in(provider, own_provider, "u-1")).name == "alice"
    await provider.close()


async def test_own_authority(tmp_path: Path) -> None:
    """A provider behind a private authority is believed with its file, and not without."""
    with running_openid_provider(certificates=make_certificates(tmp_path, "login.example.com")) as server:
        assert server.certificates is not None
        provider = OpenIdProvider(registration(server, ca=server.certificates.authority))
        assert (await log_in(provider, server, "u-1")).name == "alice"
        await provider.close()
        provider = OpenIdProvider(registration(server))
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.begin(REDIRECT_URI)
        assert caught.value.detail["reason"] == "oidc-connection"
        await provider.close()
