"""Jobs and pods that log in with tokens of GitHub, GitLab and Kubernetes, minted with the claims that those have."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from access.conftest import AUDIENCE
from entrepot.access.providers import (
    TrustedIssuer,
    WorkloadIdentity,
    WorkloadIssuers,
    conditions_hold,
)
from entrepot.oci import Unauthorized
from harness.openid_provider import CLIENT_ID, OpenIdServer
from harness.scripted_issuer import DISCOVERY, ScriptedIssuer, running_scripted_issuer

GITHUB: Mapping[str, Any] = {
    "sub": "repo:octo-org/octo-repo:environment:prod",
    "environment": "prod",
    "ref": "refs/heads/main",
    "ref_protected": "true",
    "ref_type": "branch",
    "repository": "octo-org/octo-repo",
    "repository_id": "74",
    "repository_owner": "octo-org",
    "repository_visibility": "private",
    "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
    "event_name": "workflow_dispatch",
    "run_attempt": "2",
    "runner_environment": "github-hosted",
}
GITLAB: Mapping[str, Any] = {
    "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
    "namespace_id": "72",
    "namespace_path": "my-group",
    "project_path": "my-group/my-project",
    "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
    "pipeline_source": "web",
    "ref": "main",
    "ref_type": "branch",
    "ref_protected": "true",
    "environment_protected": "false",
    "runner_id": 1,
}
KUBERNETES: Mapping[str, Any] = {
    "sub": "system:serviceaccount:builds:pusher",
    "kubernetes.io": {
        "namespace": "builds",
        "pod": {"name": "pusher-69dbfb9c6d-2zr5q", "uid": "7c9e0c4b"},
        "serviceaccount": {"name": "pusher", "uid": "0b1e5e9a"},
        "warnafter": 1_700_000_000,
    },
}


async def refused(workloads: WorkloadIssuers, token: str) -> object:
    """The reason why a token lets nobody in."""
    with pytest.raises(Unauthorized) as caught:
        await workloads.verify(token)
    return caught.value.detail["reason"]


@pytest.mark.parametrize(
    ("claims", "meant", "not_meant"),
    [
        (
            GITHUB,
            {"repository": "octo-org/octo-repo", "ref": "refs/heads/*", "ref_protected": "true"},
            {"repository": "octo-org/octo-repo", "ref": "refs/tags/*"},
        ),
        (
            GITLAB,
            {"project_path": "my-group/**", "ref_type": "branch", "runner_id": "1"},
            {"project_path": "my-group", "ref_type": "branch"},
        ),
        (
            KUBERNETES,
            {"kubernetes.io/namespace": "builds", "kubernetes.io/serviceaccount/name": "pusher"},
            {"kubernetes.io/namespace": "builds", "kubernetes.io/serviceaccount/name": "other"},
        ),
    ],
    ids=["github", "gitlab", "kubernetes"],
)
async def test_tokens_of_known_systems(
    issuer: ScriptedIssuer,
    workloads: WorkloadIssuers,
    claims: Mapping[str, Any],
    meant: Mapping[str, str],
    not_meant: Mapping[str, str],
) -> None:
    """Their claims are readable as text, and a binding's conditions mean the one workload and not another."""
    workload = await workloads.verify(issuer.mint_claims({**claims, "aud": [AUDIENCE]}))
    assert workload.issuer == issuer.issuer
    assert workload.subject == claims["sub"]
    assert conditions_hold(meant, workload.claims)
    assert not conditions_hold(not_meant, workload.claims)
    assert not conditions_hold({**meant, "missing": "**"}, workload.claims)


async def test_a_token_of_a_certified_provider(openid_provider: OpenIdServer) -> None:
    """A token that npm's oidc-provider issued for this audience is verified by its discovery and keys."""
    issuers = WorkloadIssuers([TrustedIssuer(openid_provider.issuer, CLIENT_ID)])
    workload = await issuers.verify(openid_provider.id_token("u-2"))
    assert workload.subject == "u-2"
    assert workload.claims["preferred_username"] == "bob"
    await issuers.close()


async def test_an_access_token_is_no_identity(openid_provider: OpenIdServer) -> None:
    """A token that lets a client use a service says who may, not who is (RFC 9068, ``at+jwt``)."""
    issuers = WorkloadIssuers([TrustedIssuer(openid_provider.issuer, "urn:entrepot")])
    assert await refused(issuers, openid_provider.client_token("urn:entrepot")) == "header"
    await issuers.close()


@pytest.mark.parametrize("audience", ["https://github.com/octo-org", ["sts.amazonaws.com"], "entrepot/", None])
async def test_a_token_for_others_is_not_replayed_here(
    issuer: ScriptedIssuer, workloads: WorkloadIssuers, audience: object
) -> None:
    """A token that was meant for another service lets nobody in."""
    assert await refused(workloads, issuer.mint(aud=audience)) == "audience"


async def test_a_token_for_others_too(issuer: ScriptedIssuer, workloads: WorkloadIssuers) -> None:
    """A token that the other service could replay here is refused, though it names this one."""
    assert await refused(workloads, issuer.mint(aud=[AUDIENCE, "https://kubernetes.default.svc"])) == "audience"


async def test_an_issuer_that_nobody_trusts(workloads: WorkloadIssuers) -> None:
    """A good token of another issuer is refused, and that issuer is not asked for anything."""
    with running_scripted_issuer() as other:
        assert not workloads.knows(other.mint())
        assert await refused(workloads, other.mint()) == "issuer"
        assert not other.asked


async def test_another_issuers_key(issuer: ScriptedIssuer, workloads: WorkloadIssuers) -> None:
    """One issuer's key does not sign for another, whatever it calls itself."""
    with running_scripted_issuer() as other:
        both = WorkloadIssuers([TrustedIssuer(issuer.issuer, AUDIENCE), TrustedIssuer(other.issuer, AUDIENCE)])
        forged = other.mint(iss=issuer.issuer)
        assert both.knows(forged)
        assert await refused(both, forged) == "signature"
        assert (await both.verify(other.mint())).issuer == other.issuer
        await both.close()


@pytest.mark.parametrize("text", ["", "password", "a.b.c", "e30.e30.e30", "x" * 30_000])
async def test_what_is_no_token_is_told_from_one(workloads: WorkloadIssuers, text: str) -> None:
    """A password or a token of our own is known to be none of an issuer."""
    assert not workloads.knows(text)
    with pytest.raises(Unauthorized):
        await workloads.verify(text)


async def test_keys_from_a_file(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    """An issuer that cannot be reached, such as a cluster's, has its keys in a file."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(issuer.jwks()), encoding="utf-8")
    workloads = WorkloadIssuers([TrustedIssuer(issuer.issuer, AUDIENCE, jwks_file=file)])
    assert isinstance(await workloads.verify(issuer.mint()), WorkloadIdentity)
    assert not issuer.asked
    await workloads.close()


async def test_keys_from_a_url(issuer: ScriptedIssuer) -> None:
    """An issuer without discovery has its keys at a URL that is known."""
    trusted = TrustedIssuer(issuer.issuer, AUDIENCE, jwks_url=f"{issuer.issuer}/jwks")
    workloads = WorkloadIssuers([trusted])
    assert (await workloads.verify(issuer.mint())).subject == "subject"
    assert issuer.asked[DISCOVERY] == 0
    await workloads.close()


@pytest.mark.parametrize(
    "claims",
    [
        {f"claim-{number}": "x" for number in range(300)},
        {"long": "x" * 2049},
        {"a": {"b": {"c": {"d": {"e": "deep"}}}}},
        {"kubernetes.io/namespace": "builds", "kubernetes.io": {"namespace": "other"}},
    ],
    ids=["many", "long", "deep", "ambiguous"],
)
async def test_claims_beyond_bounds(issuer: ScriptedIssuer, workloads: WorkloadIssuers, claims: dict[str, Any]) -> None:
    """Too many, long or deep claims are refused, and those that two spellings of one condition would mean."""
    assert await refused(workloads, issuer.mint_claims(claims)) == "claims"


async def test_claims_that_are_no_text(issuer: ScriptedIssuer, workloads: WorkloadIssuers) -> None:
    """Numbers and yes or no are text; lists, nulls and fractions can hold no condition."""
    values = {"number": 7, "yes": True, "no": False, "list": ["a"], "fraction": 1.5}
    claims = (await workloads.verify(issuer.mint_claims(values))).claims
    assert {name: claims[name] for name in ("number", "yes", "no")} == {"number": "7", "yes": "true", "no": "false"}
    assert not {"list", "fraction"} & claims.keys()
