"""Tokens: what is signed comes back, and every known forgery is refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from entrepot.access import (
    ANONYMOUS,
    CATALOG,
    Action,
    Caller,
    Grant,
    KeySet,
    Principal,
    PrincipalKind,
    Resource,
    Scope,
    SigningKey,
    TokenIssuer,
    TokenVerifier,
    parse_scopes,
)
from entrepot.access.key_set import TimedKey
from entrepot.access.scopes import SCOPE_CHARACTERS_AT_MOST, SCOPES_AT_MOST
from entrepot.access.tokens import TOKEN_CHARACTERS_AT_MOST
from entrepot.oci import RepositoryName, Unauthorized

ISSUER = "https://registry.example"
SERVICE = "registry.example"
NOW = 1_800_000_000
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"registry" * 4))
FOREIGN = SigningKey(Ed25519PrivateKey.from_private_bytes(b"attacker" * 4))
ANN = Principal(PrincipalKind.USER, "u1", "ann", is_admin=True)
REPOSITORY = Resource.repository(RepositoryName.parse("team/app"))
HEADER: dict[str, Any] = {"alg": "Ed25519", "kid": KEY.kid, "typ": "JWT"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "u1",
    "aud": SERVICE,
    "exp": NOW + 300,
    "nbf": NOW,
    "iat": NOW,
    "jti": "some-id",
    "kind": "user",
    "name": "ann",
    "cid": "",
    "access": [{"type": "repository", "name": "team/app", "actions": ["pull"], "project": "p1"}],
}
MISSING = object()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time that the issuer and the verifier see."""
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> TokenVerifier:
    """A verifier that knows one key."""
    return TokenVerifier(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=clock)


@pytest.fixture
def issuer(clock: Clock) -> TokenIssuer:
    """An issuer with that key."""
    return TokenIssuer(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=clock)


def encoded(value: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def assembled(header: object, payload: object, sign: Callable[[bytes], bytes]) -> str:
    """A token with any header and payload, signed however the attacker likes."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(map(encoded, parts))
    return f"{signed}.{encoded(sign(signed.encode()))}"


def genuine(content: bytes) -> bytes:
    """A signature with the registry's own key."""
    signature = KEY.private.private_key.sign(content)  # type: ignore[union-attr]
    assert isinstance(signature, bytes)
    return signature


def changed(values: dict[str, Any], **changes: object) -> dict[str, Any]:
    """A copy with other values, without those that are MISSING."""
    return {name: value for name, value in {**values, **changes}.items() if value is not MISSING}


async def reason_of(verifier: TokenVerifier, token: str) -> object:
    """Why the token is refused, twice the same."""
    reasons = []
    for _ in range(2):
        with pytest.raises(Unauthorized) as refusal:
            await verifier.verify(token)
        assert set(refusal.value.detail) == {"reason"}
        reasons.append(refusal.value.detail["reason"])
    assert reasons[0] == reasons[1]
    return reasons[0]


async def test_an_issued_token_is_verified(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Principal and scopes come back; being an administrator is never believed from a token."""
    scopes = parse_scopes(["repository:team/app:pull,push registry:catalog:*"])
    issued = issuer.issue(ANN, scopes)

    assert await verifier.verify(issued.token.reveal()) == Caller(
        Principal(PrincipalKind.USER, "u1", "ann", is_admin=False),
        frozenset(
            {
                *(Grant(REPOSITORY, action) for action in (Action.PULL, Action.PUSH, Action.MOVE)),
                Grant(CATALOG, Action.CATALOG),
            }
        ),
    )
    assert issued.issued_at == datetime.fromtimestamp(NOW, UTC)
    assert issued.expires_in == timedelta(minutes=5)


async def test_an_anonymous_token_is_verified(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Nobody gets tokens too, and one without scopes carries nothing."""
    caller = await verifier.verify(issuer.issue(ANONYMOUS, []).token.reveal())

    assert caller == Caller(ANONYMOUS, frozenset())
    assert not caller.carries(Action.PULL, REPOSITORY)


def test_the_claims_are_those_of_dockers_specification(issuer: TokenIssuer) -> None:
    """Every claim is there, with its type, and the header has algorithm, key id and type."""
    scopes = [
        replace(scope, project="p1" if scope.resource.is_repository else "")
        for scope in parse_scopes(["repository:team/app:push,pull registry:catalog:*"])
    ]
    token = issuer.issue(ANN, scopes, credential="c1").token.reveal()
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])

    assert header == HEADER
    assert len(payload.pop("jti")) >= 20
    assert payload == {
        "iss": ISSUER,
        "sub": "u1",
        "aud": SERVICE,
        "exp": NOW + 300,
        "nbf": NOW,
        "iat": NOW,
        "kind": "user",
        "name": "ann",
        "cid": "c1",
        "access": [
            {"type": "repository", "name": "team/app", "actions": ["pull", "push", "move"], "project": "p1"},
            {"type": "registry", "name": "catalog", "actions": ["*"], "project": ""},
        ],
    }


def test_no_two_tokens_are_alike(issuer: TokenIssuer) -> None:
    """Each token has an id of its own."""
    assert len({issuer.issue(ANN, []).token.reveal() for _ in range(50)}) == 50


async def test_the_largest_request_fits(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """A token with as many and as long scopes as may be asked for is below the verifier's cap."""
    room = SCOPE_CHARACTERS_AT_MOST // SCOPES_AT_MOST - len("repository::* ")
    scopes = parse_scopes([" ".join(f"repository:{f'r{number:02}'.ljust(room, 'x')}:*" for number in range(64))])
    token = issuer.issue(Principal(PrincipalKind.USER, "u" * 64, "\u00fc" * 255), scopes).token.reveal()

    granted = (await verifier.verify(token)).granted

    assert granted is not None
    assert len(granted) == 4 * SCOPES_AT_MOST


async def test_the_hand_made_token_is_good(verifier: TokenVerifier) -> None:
    """The forgeries below differ from a token that is accepted in one thing each."""
    assert (await verifier.verify(assembled(HEADER, CLAIMS, genuine))).principal.id == "u1"


async def test_algorithm_none_is_refused(verifier: TokenVerifier) -> None:
    """A token that says it needs no signature is refused, however it is spelled, with or without one."""
    for name in ("none", "None", "NONE", "nOnE", ""):
        header = changed(HEADER, alg=name)
        assert await reason_of(verifier, assembled(header, CLAIMS, lambda _: b"")) == "malformed"
        assert await reason_of(verifier, assembled(header, CLAIMS, genuine)) == "algorithm"


@pytest.mark.parametrize("form", ["x", "raw", "jwk", "pem"])
async def test_the_public_key_is_no_shared_secret(verifier: TokenVerifier, form: str) -> None:
    """HS256 with the public key as the secret (the algorithm confusion) is refused for every form of that key."""
    public = KEY.public_jwk()
    secret = {
        "x": public["x"].encode(),
        "raw": base64.urlsafe_b64decode(public["x"] + "="),
        "jwk": json.dumps(public).encode(),
        "pem": KEY.public.as_pem(private=False),
    }[form]
    token = assembled(
        changed(HEADER, alg="HS256"), CLAIMS, lambda content: hmac.new(secret, content, hashlib.sha256).digest()
    )
    assert await reason_of(verifier, token) == "algorithm"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("HS256", OctKey.generate_key(256)),
        ("HS512", OctKey.generate_key(512)),
        ("RS256", RSAKey.generate_key(2048)),
        ("ES256", ECKey.generate_key("P-256")),
        ("Ed448", OKPKey.generate_key("Ed448")),
    ],
)
async def test_other_algorithms_are_refused(
    verifier: TokenVerifier, algorithm: str, key: OctKey | RSAKey | ECKey | OKPKey
) -> None:
    """Well signed by another algorithm and key, under the registry's own key id: not even looked at."""
    token = jws.serialize_compact(
        changed(HEADER, alg=algorithm), json.dumps(CLAIMS), key, registry=jws.JWSRegistry(algorithms=[algorithm])
    )
    assert await reason_of(verifier, token) == "algorithm"


async def test_the_polymorphic_name_is_refused(verifier: TokenVerifier) -> None:
    """``EdDSA``, which leaves the curve open (RFC 9864), is not the algorithm's name here."""
    assert await reason_of(verifier, assembled(changed(HEADER, alg="EdDSA"), CLAIMS, genuine)) == "algorithm"


@pytest.mark.parametrize("alg", [MISSING, None, 7, ["Ed25519"], {"Ed25519": 1}, True])
async def test_an_algorithm_that_is_no_name_is_refused(verifier: TokenVerifier, alg: object) -> None:
    """Other types in the place of the algorithm are refused."""
    assert await reason_of(verifier, assembled(changed(HEADER, alg=alg), CLAIMS, genuine)) == "algorithm"


async def test_a_foreign_key_is_refused() -> None:
    """A key that the verifier was not given: under its own id unknown, under ours a wrong signature."""
    foreign = (
        TokenIssuer(KeySet.of(FOREIGN), issuer=ISSUER, service=SERVICE, clock=Clock()).issue(ANN, []).token.reveal()
    )
    verifier = TokenVerifier(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=Clock())
    signature = FOREIGN.private.private_key.sign  # type: ignore[union-attr]

    assert await reason_of(verifier, foreign) == "key"
    assert await reason_of(verifier, assembled(HEADER, CLAIMS, signature)) == "signature"


async def test_one_own_key_does_not_stand_for_another() -> None:
    """With two own keys, the id decides: signed by the one and named as the other is a wrong signature."""
    verifier = TokenVerifier(KeySet.of(KEY, FOREIGN), issuer=ISSUER, service=SERVICE, clock=Clock())

    assert (await verifier.verify(assembled(HEADER, CLAIMS, genuine))).principal.id == "u1"
    assert await reason_of(verifier, assembled(changed(HEADER, kid=FOREIGN.kid), CLAIMS, genuine)) == "signature"


@pytest.mark.parametrize(
    "kid", ["", "../../etc/passwd", "x' OR 1=1 --", KEY.kid + "\x00", KEY.kid.swapcase(), None, 7, ["a"], {"a": 1}]
)
async def test_an_unknown_key_id_is_refused(verifier: TokenVerifier, kid: object) -> None:
    """No other id, and nothing that is no text, finds a key."""
    assert await reason_of(verifier, assembled(changed(HEADER, kid=kid), CLAIMS, genuine)) == "key"


async def test_a_missing_key_id_is_refused(verifier: TokenVerifier) -> None:
    """The only key is not tried for want of an id."""
    assert await reason_of(verifier, assembled(changed(HEADER, kid=MISSING), CLAIMS, genuine)) == "malformed"


@pytest.mark.parametrize(
    "extra",
    [
        {"jwk": FOREIGN.public_jwk()},
        {"jwk": KEY.public_jwk()},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "at+jwt"},
        {"typ": None},
        {"typ": MISSING},
    ],
)
async def test_headers_with_anything_else_are_refused(verifier: TokenVerifier, extra: dict[str, object]) -> None:
    """A key in the header, or an address of one, is refused even if all else is genuine (CVE-2025-24976)."""
    assert await reason_of(verifier, assembled(changed(HEADER, **extra), CLAIMS, genuine)) == "malformed"


async def test_a_key_in_the_header_is_not_used(verifier: TokenVerifier) -> None:
    """Our key id, the attacker's key in ``jwk`` and a signature that fits it."""
    header = changed(HEADER, jwk=FOREIGN.public_jwk())
    token = assembled(header, CLAIMS, FOREIGN.private.private_key.sign)  # type: ignore[union-attr]
    assert await reason_of(verifier, token) == "malformed"


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b'"alg b64"', b"7", b"null", b'["alg"]', b"\xff\xfe", b"[" * 300])
async def test_headers_that_are_no_object_are_refused(verifier: TokenVerifier, header: bytes) -> None:
    """Other JSON, and what is none."""
    assert await reason_of(verifier, assembled(header, CLAIMS, genuine)) == "malformed"


@pytest.mark.parametrize("payload", [b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe"])
async def test_payloads_that_are_no_object_are_refused(verifier: TokenVerifier, payload: bytes) -> None:
    """Even well signed."""
    assert await reason_of(verifier, assembled(HEADER, payload, genuine)) == "malformed"


@pytest.mark.parametrize("name", list(CLAIMS))
async def test_every_claim_must_be_there(verifier: TokenVerifier, name: str) -> None:
    """A token without one of the claims is refused, the random id included, and so is one with null."""
    assert await reason_of(verifier, assembled(HEADER, changed(CLAIMS, **{name: MISSING}), genuine)) == "claims"
    assert await reason_of(verifier, assembled(HEADER, changed(CLAIMS, **{name: None}), genuine)) == "claims"


@pytest.mark.parametrize(
    "change",
    [
        {"exp": "1900000000"},
        {"exp": 1e300},
        {"exp": True},
        {"exp": -1},
        {"nbf": False},
        {"iat": 1.5},
        {"jti": ""},
        {"jti": 7},
        {"aud": [SERVICE]},
        {"aud": [SERVICE, "other"]},
        {"iss": [ISSUER]},
        {"sub": 1},
        {"sub": ""},
        {"kind": "anonymous"},
        {"kind": "root"},
        {"kind": ["user"]},
        {"name": {}},
        {"access": {}},
        {"access": "repository:team/app:pull"},
        {"access": ["repository:team/app:pull"]},
        {"access": [{"type": "repository", "name": "team/app"}]},
        {"access": [{"type": "repository", "name": "team/app", "actions": "pull"}]},
        {"access": [{"type": "repository", "actions": ["pull"]}]},
        {"access": [{"name": "team/app", "actions": ["pull"]}]},
    ],
)
async def test_claims_of_another_type_are_refused(verifier: TokenVerifier, change: dict[str, object]) -> None:
    """Each claim has one type; a nameless user and a named nobody are no principals."""
    assert await reason_of(verifier, assembled(HEADER, changed(CLAIMS, **change), genuine)) == "claims"


async def test_access_that_is_not_known_grants_nothing(verifier: TokenVerifier) -> None:
    """Entries of other types, names outside the grammar and unknown actions carry no right."""
    access = [
        {"type": "repository", "name": "../x", "actions": ["pull"]},
        {"type": "project", "name": "x", "actions": ["pull"]},
        {"type": "repository", "name": "team/app", "actions": ["fly", 7, None]},
        {"type": "registry", "name": "settings", "actions": ["*"]},
    ]
    assert (await verifier.verify(assembled(HEADER, changed(CLAIMS, access=access), genuine))).granted == frozenset()


@pytest.mark.parametrize("issuer", ["", "https://other.example", ISSUER + "/", ISSUER.upper()])
async def test_another_issuer_is_refused(verifier: TokenVerifier, issuer: str) -> None:
    """The issuer is compared exactly."""
    assert await reason_of(verifier, assembled(HEADER, changed(CLAIMS, iss=issuer), genuine)) == "issuer"


@pytest.mark.parametrize("service", ["", "other.example", SERVICE + ".attacker.example", SERVICE.upper()])
async def test_another_service_is_refused(verifier: TokenVerifier, service: str) -> None:
    """A token for another service, though signed with the same key, is refused."""
    assert await reason_of(verifier, assembled(HEADER, changed(CLAIMS, aud=service), genuine)) == "audience"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": 0}, "expired"),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, "not-yet-valid"),
        ({"iat": NOW + 30}, None),
        ({"iat": NOW + 31}, "not-yet-valid"),
    ],
)
async def test_times_are_kept_but_for_a_small_skew(
    verifier: TokenVerifier, change: dict[str, object], reason: str | None
) -> None:
    """Clocks may differ by thirty seconds, no more."""
    token = assembled(HEADER, changed(CLAIMS, **change), genuine)
    if reason is None:
        assert (await verifier.verify(token)).principal.id == "u1"
    else:
        assert await reason_of(verifier, token) == reason


async def test_a_remembered_token_expires_all_the_same(
    issuer: TokenIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    """A token that was verified before is refused when its time is over, or when the clock goes back behind it."""
    token = issuer.issue(ANN, []).token.reveal()
    assert await verifier.verify(token) is await verifier.verify(token)

    clock.now = NOW + 329.9
    assert (await verifier.verify(token)).principal.id == "u1"
    clock.now = NOW + 330
    assert await reason_of(verifier, token) == "expired"
    clock.now = NOW - 31
    assert await reason_of(verifier, token) == "not-yet-valid"


async def test_only_whole_tokens_are_remembered(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Header and payload of a remembered token with another signature are not taken for it."""
    token = issuer.issue(ANN, []).token.reveal()
    await verifier.verify(token)
    body, _, _ = token.rpartition(".")

    assert await reason_of(verifier, f"{body}.{encoded(bytes(64))}") == "signature"


async def test_what_is_remembered_is_bounded(issuer: TokenIssuer, clock: Clock) -> None:
    """The memory of verified tokens keeps the newest and verifies the others again."""
    verifier = TokenVerifier(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=clock, verified_at_most=2)
    tokens = [issuer.issue(ANN, []).token.reveal() for _ in range(5)]
    callers = [await verifier.verify(token) for token in tokens]

    assert len(verifier._verified) == 2
    assert [await verifier.verify(token) is caller for token, caller in zip(tokens[3:], callers[3:], strict=True)] == [
        True,
        True,
    ]
    assert await verifier.verify(tokens[0]) == callers[0]


async def test_every_truncation_is_refused(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """No prefix of a token is one, and nothing may follow it."""
    token = issuer.issue(ANN, []).token.reveal()
    for length in range(len(token)):
        assert await reason_of(verifier, token[:length]) in {"malformed", "signature"}
    for tail in ("=", ".", "A", " ", "\n", ".e30", "\x00"):
        assert await reason_of(verifier, token + tail) in {"malformed", "signature"}


async def test_every_flipped_character_is_refused(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Changing any single character is noticed, the unused bits at the end of the parts included."""
    token = issuer.issue(ANN, []).token.reveal()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for position, character in enumerate(token):
        if character == ".":
            continue
        other = alphabet[alphabet.index(character) ^ 1]
        with pytest.raises(Unauthorized):
            await verifier.verify(token[:position] + other + token[position + 1 :])


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b", "a.b.c", "a..c", ".b.c", "\u0430.b.c", "a.b.c.d.e"])
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    """Empty parts, too few or too many, other letters; encrypted tokens have five parts."""
    assert await reason_of(verifier, token) == "malformed"


async def test_an_oversized_token_is_refused(verifier: TokenVerifier) -> None:
    """A token above the cap is refused unread, though its signature is good."""
    token = assembled(HEADER, changed(CLAIMS, jti="x" * TOKEN_CHARACTERS_AT_MOST), genuine)
    assert await reason_of(verifier, token) == "malformed"


async def test_a_large_header_is_refused(verifier: TokenVerifier) -> None:
    """A header above its own cap is refused unread."""
    assert await reason_of(verifier, assembled(changed(HEADER, kid="x" * 600), CLAIMS, genuine)) == "malformed"


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "jwk", "jku", "x5u", "crit", "b64", "x"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.just(KEY.kid), st.just("Ed25519")),
    )
)
async def test_no_other_header_is_accepted(header: dict[str, object]) -> None:
    """Whatever stands in the header, only the one form is believed, and nothing but Unauthorized is raised."""
    verifier = TokenVerifier(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=Clock())
    token = assembled(header, CLAIMS, genuine)
    if header == HEADER:
        await verifier.verify(token)
    else:
        assert await reason_of(verifier, token) in {"malformed", "algorithm", "key"}


@settings(deadline=None)
@given(st.text(max_size=200))
async def test_any_text_is_refused(text: str) -> None:
    """No text at all does anything but be refused."""
    verifier = TokenVerifier(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=Clock())
    assert await reason_of(verifier, text) == "malformed"


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(list(CLAIMS)),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner)),
            max_leaves=6,
        ),
        min_size=1,
    )
)
async def test_any_claims_are_read_or_refused(change: dict[str, object]) -> None:
    """Claims of any shape, well signed, are accepted or refused, and never break anything."""
    verifier = TokenVerifier(KeySet.of(KEY), issuer=ISSUER, service=SERVICE, clock=Clock())
    try:
        caller = await verifier.verify(assembled(HEADER, {**CLAIMS, **change}, genuine))
    except Unauthorized:
        return
    assert caller.granted is not None
    assert not caller.principal.is_admin


async def test_scopes_are_written_with_the_words_of_requests(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """A token for all actions of a repository carries each of them."""
    scope = Scope(REPOSITORY, REPOSITORY.token_actions)
    assert (await verifier.verify(issuer.issue(ANN, [scope]).token.reveal())).granted == scope.grants


async def test_a_token_that_is_over_still_says_whose_it_was(
    issuer: TokenIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    """Where a session stands for its time, an expired token is the same caller, marked; one from the future is not."""
    token = issuer.issue(ANN, parse_scopes(["repository:team/app:push"]), credential="c1").token.reveal()
    fresh = await verifier.verify(token, expired_too=True)
    clock.now = NOW + 86_400

    over = await verifier.verify(token, expired_too=True)

    assert not fresh.is_expired
    assert over == replace(fresh, is_expired=True)
    assert over.credential == "c1"
    assert await reason_of(verifier, token) == "expired"
    future = assembled(HEADER, changed(CLAIMS, iat=NOW + 90_000, exp=NOW + 90_300), genuine)
    with pytest.raises(Unauthorized, match="authentication"):
        await verifier.verify(future, expired_too=True)
    forged = assembled(HEADER, CLAIMS, FOREIGN.private.private_key.sign)  # type: ignore[union-attr]
    with pytest.raises(Unauthorized, match="authentication"):
        await verifier.verify(forged, expired_too=True)


async def test_a_key_that_is_gone_ends_remembered_tokens(clock: Clock) -> None:
    """When a key is taken away, tokens that were found good before are refused."""
    keys = [TimedKey(FOREIGN, 0), TimedKey(KEY, 0)]

    async def load() -> list[TimedKey]:  # ruff: ignore[unused-async]  the set's port is asynchronous
        return keys

    held = KeySet(keys, load, verify_for=timedelta(0), monotonic=clock)
    verifier = TokenVerifier(held, issuer=ISSUER, service=SERVICE, clock=clock)
    token = assembled(HEADER, CLAIMS, genuine)
    assert (await verifier.verify(token)).principal.id == "u1"

    keys.pop()
    with pytest.raises(Unauthorized):
        await verifier.verify(assembled(changed(HEADER, kid="A" * 43), CLAIMS, genuine))

    assert await reason_of(verifier, token) == "key"
