"""A certified OpenID provider (npm's ``oidc-provider``) of the tests' own, on 127.0.0.1, with a scripted browser."""

import base64
import contextlib
import hashlib
import json
import re
import ssl
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from harness.certificates import Certificates
from harness.ports import free_port
from harness.programs import find_program, tools_folder

CLIENT_ID = "entrepot"
CLIENT_SECRET = "a secret, with: signs/of&all%kinds+"
PUBLIC_CLIENT_ID = "entrepot-cli"
REDIRECT_URI = "https://registry.example.com/auth/oidc/callback"

SERVER = Path(__file__).with_suffix(".mjs")
ATTEMPTS = 3

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]

USERS: Mapping[str, Mapping[str, Any]] = {
    "u-1": {"preferred_username": "alice", "groups": ["developers", "admins"]},
    "u-2": {"preferred_username": "bob", "groups": []},
    "u-3": {"preferred_username": "carol", "groups": [f"group-{number}" for number in range(1001)]},
}
"""Who can log in, by subject: alice with two groups, bob with none, carol with more than anybody may have."""


@dataclass
class OpenIdServer:
    """A provider with the users ``USERS`` and the clients ``CLIENT_ID`` (confidential) and ``PUBLIC_CLIENT_ID``.

    ``rotate_keys`` and ``stop`` change it for everyone, so tests that use them start one of their own.
    """

    port: int
    certificates: Certificates | None
    algorithm: Algorithm
    claims_in_userinfo_only: bool
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)
    _generation: int = 0

    @property
    def issuer(self) -> str:
        """Its identifier, which is also its address."""
        return f"{'http' if self.certificates is None else 'https'}://127.0.0.1:{self.port}"

    def log_in(self, url: str, subject: str) -> dict[str, str]:
        """Follow an authorization request as a browser in which this user logs in; what comes back to the client."""
        with self._browser(subject) as browser:
            return _follow(browser, browser.get(url))

    def approve_device(self, verification_uri_complete: str, subject: str, *, approve: bool = True) -> None:
        """Confirm a user code as a browser in which this user logs in, or decline it."""
        user_code = dict(parse_qsl(urlsplit(verification_uri_complete).query))["user_code"]
        device = f"{self.issuer}/device"
        with self._browser(subject) as browser:
            page = browser.get(verification_uri_complete)
            page = browser.post(device, data={"xsrf": _xsrf(page.text), "user_code": user_code})
            choice = {"confirm": "yes"} if approve else {"abort": "yes"}
            page = browser.post(device, data={"xsrf": _xsrf(page.text), "user_code": user_code, **choice})
            _follow(browser, page)

    def client_token(self, audience: str) -> str:
        """A token of a client itself for a service (client credentials, a JWT access token)."""
        answer = httpx.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "resource": audience},
            auth=("robot", "robot"),
            verify=self._trust(),
            trust_env=False,
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["access_token"])

    def id_token(self, subject: str) -> str:
        """A token about this user, for the confidential client."""
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid profile groups",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        code = self.log_in(f"{self.issuer}/auth?{urlencode(query)}", subject)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        answer = httpx.post(
            f"{self.issuer}/token",
            data={**form, "code_verifier": verifier},
            auth=(quote_plus(CLIENT_ID), quote_plus(CLIENT_SECRET)),
            verify=self._trust(),
            trust_env=False,
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["id_token"])

    def start(self) -> None:
        """Start it, with a key of its generation; raises RuntimeError."""
        process = subprocess.Popen(
            [find_program("node"), SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(self._configuration()))
        process.stdin.close()
        said = []
        for line in process.stdout:
            if line == "ready\n":
                return
            said.append(line)
        self.stop()
        raise RuntimeError("".join(said))

    def stop(self) -> None:
        """End it; everything that it knew about logins is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def rotate_keys(self) -> None:
        """Begin anew at the same address with a new key; what the old one signed is no longer good."""
        self.stop()
        self._generation += 1
        self.start()

    def _configuration(self) -> dict[str, Any]:
        tls = self.certificates
        return {
            "modules": str(tools_folder() / "npm" / "node_modules"),
            "issuer": self.issuer,
            "port": self.port,
            "users": USERS,
            "keys": [_made_key(self.algorithm, self._generation)],
            "clients": [self._client(CLIENT_ID), self._client(PUBLIC_CLIENT_ID), self._robot()],
            "claims_in_userinfo_only": self.claims_in_userinfo_only,
            "tls": tls and {"certificate": str(tls.certificate), "key": str(tls.key)},
        }

    def _client(self, client_id: str) -> dict[str, Any]:
        public = client_id == PUBLIC_CLIENT_ID
        return {
            "client_id": client_id,
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
            "id_token_signed_response_alg": self.algorithm,
            "token_endpoint_auth_method": "none" if public else "client_secret_basic",
            **({} if public else {"client_secret": CLIENT_SECRET}),
        }

    def _robot(self) -> dict[str, Any]:
        return {
            "client_id": "robot",
            "client_secret": "robot",
            "redirect_uris": [],
            "response_types": [],
            "grant_types": ["client_credentials"],
            "id_token_signed_response_alg": self.algorithm,
        }

    def _trust(self) -> ssl.SSLContext | bool:
        return self.certificates is None or ssl.create_default_context(cafile=self.certificates.authority)

    def _browser(self, subject: str) -> httpx.Client:
        return httpx.Client(headers={"x-user": subject}, verify=self._trust(), trust_env=False)


@contextlib.contextmanager
def running_openid_provider(
    *,
    certificates: Certificates | None = None,
    algorithm: Algorithm = "RS256",
    claims_in_userinfo_only: bool = False,
) -> Generator[OpenIdServer, None, None]:
    """Start a provider on a free port, over TLS with ``certificates``, and end it afterwards."""
    server = OpenIdServer(0, certificates, algorithm, claims_in_userinfo_only)
    for attempt in range(1, ATTEMPTS + 1):
        server.port = free_port()
        try:
            server.start()
        except RuntimeError as error:
            if attempt == ATTEMPTS:
                pytest.fail(f"the OpenID provider did not start:\n{error}", pytrace=False)
        else:
            break
    try:
        yield server
    finally:
        server.stop()


def _follow(browser: httpx.Client, answer: httpx.Response) -> dict[str, str]:
    """Follow redirects until one leads to the client or a page is shown; the query of the former."""
    while answer.next_request is not None:
        target = str(answer.next_request.url)
        if target.startswith(REDIRECT_URI):
            return dict(parse_qsl(urlsplit(target).query))
        answer = browser.get(target)
    assert answer.status_code == httpx.codes.OK, answer.text
    return {}


def _xsrf(page: str) -> str:
    found = re.search(r'name="xsrf" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def _made_key(algorithm: Algorithm, generation: int) -> dict[str, Any]:
    """A fresh private key as JWK, whose id tells its generation."""
    key: RSAKey | ECKey | OKPKey
    match algorithm:
        case "RS256" | "PS256":
            key = RSAKey.generate_key(2048)
        case "ES256":
            key = ECKey.generate_key("P-256")
        case _:
            key = OKPKey.generate_key("Ed25519")
    return {**key.as_dict(private=True), "kid": f"key-{generation}", "use": "sig"}
