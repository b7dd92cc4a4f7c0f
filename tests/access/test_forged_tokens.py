"""Attacks on the verification of tokens (RFC 8725, OpenID Connect Core section 3.1.3.7), each over a connection."""

import json
import time
from typing import Any

import pytest

from access.conftest import AUDIENCE, Clocks, ForgedLogin
from entrepot.access.providers import IdentityRefused, WorkloadIssuers
from entrepot.oci import Unauthorized
from harness.scripted_issuer import JWKS, Reply, ScriptedIssuer, unsigned

NOW = time.time


async def refused(forged_login: ForgedLogin, token: str) -> object:
    """The reason why a login with this ID token fails."""
    with pytest.raises(Unauthorized) as caught:
        await forged_login(token)
    return caught.value.detail["reason"]


async def refused_workload(workloads: WorkloadIssuers, token: str) -> object:
    """The reason why a workload with this token is not let in."""
    with pytest.raises(Unauthorized) as caught:
        await workloads.verify(token)
    return caught.value.detail["reason"]


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
)
async def test_a_token_of_each_algorithm_is_taken(forged_login: ForgedLogin, algorithm: str) -> None:
    """What the attacks below change is a token that is otherwise good, whatever it is signed with."""
    forged_login.issuer.add_key("other", algorithm)
    identity = await forged_login(forged_login.issuer.mint("other", nonce=forged_login.nonce))
    assert (identity.issuer, identity.subject, identity.name) == (forged_login.issuer.issuer, "subject", "alice")
    assert identity.groups == {"developers"}


async def test_algorithm_none(forged_login: ForgedLogin) -> None:
    """A token without a signature is nobody's."""
    for name in ("none", "None", "NONE", ""):
        claims = forged_login.issuer.claims(nonce=forged_login.nonce)
        assert await refused(forged_login, f"{unsigned({'alg': name, 'kid': 'key'}, claims)}.") == "algorithm"


async def test_hmac_with_the_public_key(forged_login: ForgedLogin) -> None:
    """A key that everyone knows is no secret that two have."""
    assert await refused(forged_login, forged_login.issuer.mint_with_public_key()) == "algorithm"


async def test_a_header_that_brings_its_key(forged_login: ForgedLogin) -> None:
    """A key in the header (``jwk``) or beside it (``jku``, ``x5u``, ``x5c``) does not count, nor does ``crit``."""
    issuer = forged_login.issuer
    issuer.add_key("own")
    own = issuer.keys["own"][1].as_dict(private=False)
    for header in ({"jwk": own}, {"jku": issuer.issuer + JWKS}, {"x5u": issuer.issuer}, {"x5c": ["MII"]}):
        assert await refused(forged_login, issuer.mint("own", header, nonce=forged_login.nonce)) == "header"
    assert await refused(forged_login, issuer.mint(header={"crit": ["exp"]}, nonce=forged_login.nonce)) == "header"


async def test_a_key_of_another_under_a_known_id(forged_login: ForgedLogin) -> None:
    """The id of a key does not make it that key."""
    issuer = forged_login.issuer
    published = json.dumps(issuer.jwks()).encode()
    issuer.add_key("key")
    issuer.replies[JWKS] = Reply(published)
    assert await refused(forged_login, issuer.mint(nonce=forged_login.nonce)) == "signature"


async def test_changed_claims(forged_login: ForgedLogin) -> None:
    """Claims under another token's signature are refused."""
    issuer = forged_login.issuer
    genuine = issuer.mint(nonce=forged_login.nonce).split(".")
    other = issuer.mint(nonce=forged_login.nonce, sub="somebody else").split(".")
    assert await refused(forged_login, ".".join([genuine[0], other[1], genuine[2]])) == "signature"


async def test_an_algorithm_that_its_key_is_not_for(forged_login: ForgedLogin) -> None:
    """A token signed with RSA under the id of an elliptic-curve key finds no key."""
    forged_login.issuer.add_key("rsa", "RS256")
    assert await refused(forged_login, forged_login.issuer.mint("rsa", {"kid": "key"})) == "key"


async def test_a_token_of_another_kind(forged_login: ForgedLogin) -> None:
    """An access token or a logout token of the same provider is no ID token (RFC 9068, RFC 8725 section 3.11)."""
    for kind in ("at+jwt", "logout+jwt", 7):
        token = forged_login.issuer.mint(header={"typ": kind}, nonce=forged_login.nonce)
        assert await refused(forged_login, token) == "header"


async def test_unknown_keys_ask_the_issuer_once_a_minute(
    issuer: ScriptedIssuer, workloads: WorkloadIssuers, clocks: Clocks
) -> None:
    """A flood of unknown key ids costs the issuer one request a minute, and a new key is found at the next."""
    assert await refused_workload(workloads, issuer.mint(header={"kid": "x"})) == "key"
    for number in range(100):
        assert await refused_workload(workloads, issuer.mint(header={"kid": f"unknown-{number}"})) == "key"
    assert issuer.asked[JWKS] == 1

    issuer.add_key("new")
    clocks.now += 60
    assert (await workloads.verify(issuer.mint("new"))).subject == "subject"
    assert issuer.asked[JWKS] == 2


async def test_withdrawn_keys_count_for_an_hour_at_most(
    issuer: ScriptedIssuer, workloads: WorkloadIssuers, clocks: Clocks
) -> None:
    """A key that the issuer no longer publishes is forgotten."""
    token = issuer.mint()
    await workloads.verify(token)
    issuer.keys.clear()
    issuer.add_key("next")
    clocks.now += 3600
    assert await refused_workload(workloads, token) == "key"


async def test_wrong_audience(forged_login: ForgedLogin) -> None:
    """A token for another client is refused, also when the audience only resembles ours."""
    for audience in ("other", ["other"], "entrepot2", "Entrepot", [], None, 7, ["entrepot", 7]):
        token = forged_login.issuer.mint(nonce=forged_login.nonce, aud=audience)
        assert await refused(forged_login, token) == "audience"


async def test_another_authorized_party(forged_login: ForgedLogin) -> None:
    """With several audiences ``azp`` has to be ours, and what it says counts always."""
    both = [AUDIENCE, "other"]
    for claims in ({"aud": both}, {"aud": both, "azp": "other"}, {"azp": "other"}):
        token = forged_login.issuer.mint(nonce=forged_login.nonce, **claims)
        assert await refused(forged_login, token) == "audience"
    await forged_login(forged_login.issuer.mint(nonce=forged_login.nonce, aud=both, azp=AUDIENCE))


async def test_wrong_nonce(forged_login: ForgedLogin) -> None:
    """A token of another login, or without a nonce, is no answer to this one."""
    for nonce in ("another", "", None, 7):
        assert await refused(forged_login, forged_login.issuer.mint(nonce=nonce)) == "nonce"


async def test_wrong_issuer(forged_login: ForgedLogin) -> None:
    """A token that says it is from somebody else is refused, under whatever key."""
    for name in ("https://login.example.com", forged_login.issuer.issuer + "/", None):
        assert await refused(forged_login, forged_login.issuer.mint(nonce=forged_login.nonce, iss=name)) == "issuer"


async def test_issued_in_the_future(forged_login: ForgedLogin) -> None:
    """Neither ``iat`` nor ``nbf`` may lie ahead, but for what clocks differ."""
    for claim in ("iat", "nbf"):
        late, soon = ({"nonce": forged_login.nonce, claim: int(NOW()) + seconds} for seconds in (60, 5))
        assert await refused(forged_login, forged_login.issuer.mint_claims(late)) == "not-yet-valid"
        await forged_login(forged_login.issuer.mint_claims(soon))


async def test_expired(forged_login: ForgedLogin) -> None:
    """A token is good until it expires, and half a minute for what clocks differ."""
    token = forged_login.issuer.mint(nonce=forged_login.nonce, exp=int(NOW()) - 40)
    assert await refused(forged_login, token) == "expired"
    await forged_login(forged_login.issuer.mint(nonce=forged_login.nonce, exp=int(NOW()) - 5))


@pytest.mark.parametrize("claim", ["exp", "iat", "sub"])
@pytest.mark.parametrize("value", [None, "1", True, -1, 1e300, ["x"], ""])
async def test_claims_that_are_missing_or_of_another_type(forged_login: ForgedLogin, claim: str, value: Any) -> None:
    """A token without a subject or without times is refused, not taken for one that lasts for ever."""
    if (claim, value) == ("sub", "1"):
        value = "s" * 256
    token = forged_login.issuer.mint(nonce=forged_login.nonce, **{claim: value})
    assert await refused(forged_login, token) == "claims"


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "é.e30.e30", "W10.e30.e30"])
async def test_what_is_no_token(forged_login: ForgedLogin, token: str) -> None:
    """Text that is not three segments of JSON is malformed, or names no algorithm."""
    assert await refused(forged_login, token) in {"malformed", "algorithm"}


async def test_repeated_claims(issuer: ScriptedIssuer, workloads: WorkloadIssuers) -> None:
    """A payload that says a thing twice is refused before anyone chooses one of them."""
    claims = json.dumps(issuer.claims())[:-1] + ', "sub": "admin"}'
    assert await refused_workload(workloads, issuer.mint_raw(claims.encode())) == "malformed"


async def test_endless_tokens(workloads: WorkloadIssuers) -> None:
    """A token longer than headers are is not looked into."""
    assert await refused_workload(workloads, "e30." * 10_000) == "malformed"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"preferred_username": "a" * 256}, "name"),
        ({"preferred_username": "a\u202eb"}, "name"),
        ({"preferred_username": " alice"}, "name"),
        ({"preferred_username": ["alice"]}, "name"),
        ({"groups": [str(number) for number in range(1001)]}, "groups"),
        ({"groups": {"admins": True}}, "groups"),
        ({"groups": ["g" * 256]}, "group"),
        ({"groups": ["a\nb"]}, "group"),
        ({"groups": [7]}, "group"),
    ],
)
async def test_accounts_beyond_bounds(forged_login: ForgedLogin, claims: dict[str, Any], reason: str) -> None:
    """A name or groups that are too much or cannot be shown refuse the login, rather than being cut."""
    with pytest.raises(IdentityRefused) as caught:
        await forged_login(forged_login.issuer.mint(nonce=forged_login.nonce, **claims))
    assert caught.value.detail["reason"] == reason
