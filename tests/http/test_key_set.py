"""The published key set."""

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from harness.protocol import RunningRegistry, registry_in


def test_the_key_set_verifies_tokens(small_registry: RunningRegistry) -> None:
    """Whoever reads the set can verify a token of this registry; nothing private is in it, and it may be cached."""
    with small_registry.client() as anyone, small_registry.admin() as admin:
        answer = anyone.get("/.well-known/jwks.json")
        token = admin.get("/token").json()["token"]

    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=600"
    assert [set(key) for key in answer.json()["keys"]] == [{"kty", "crv", "x", "kid", "use", "alg"}]
    keys = KeySet.import_key_set(answer.json())
    assert jws.deserialize_compact(token, keys, algorithms=["Ed25519"]).headers()["kid"] == keys.keys[0].kid


def test_the_key_set_is_only_read(small_registry: RunningRegistry) -> None:
    """HEAD has the same headers, other methods are 405."""
    with small_registry.client() as anyone:
        assert anyone.head("/.well-known/jwks.json").status_code == 200
        assert anyone.post("/.well-known/jwks.json").status_code == 405


def test_the_key_set_is_below_the_prefix_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Behind a prefix it is found with and without it."""
    with registry_in(tmp_path_factory.mktemp("prefix"), path_prefix="/r") as registry:
        answers = [httpx.get(f"{registry.url}{prefix}/.well-known/jwks.json") for prefix in ("", "/r")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
