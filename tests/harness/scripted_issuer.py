"""An issuer of the tests' own that signs with real keys and answers over HTTP whatever a test tells it to.

It is for what no honest provider does: forged tokens, endless answers, redirects. Honest ones are minted here where a
test needs the claims of a system that it cannot run, such as GitHub's.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from typing_extensions import override

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/jwks"
TOKEN = "/token"

PrivateKey = RSAKey | ECKey | OKPKey


@dataclass
class Reply:
    """What a path answers; ``endless`` goes on for ever after ``body``, ``silent`` never begins."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False
    silent: bool = False


@dataclass
class ScriptedIssuer:
    """A server of one issuer: metadata, keys and a token endpoint, each of which a test may replace."""

    port: int
    keys: dict[str, tuple[str, PrivateKey]] = field(default_factory=dict)
    """The algorithm and key under each ``kid``; all are published."""
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    """How often each path was asked."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def issuer(self) -> str:
        """Its identifier and address."""
        return f"http://127.0.0.1:{self.port}"

    def add_key(self, kid: str, algorithm: str = "ES256") -> None:
        """Make a key and publish it."""
        key: PrivateKey
        match algorithm[:2]:
            case "RS" | "PS":
                key = RSAKey.generate_key(2048)
            case "ES":
                key = ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm])
            case _:
                key = OKPKey.generate_key("Ed25519")
        self.keys[kid] = (algorithm, key)

    def publish(self, **changes: Any) -> None:
        """Publish metadata with these changes; None takes a value away."""
        metadata = self.metadata() | changes
        self.replies[DISCOVERY] = Reply(_json({name: value for name, value in metadata.items() if value is not None}))

    def metadata(self) -> dict[str, Any]:
        """The metadata that it has unless a test says otherwise."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}{TOKEN}",
            "jwks_uri": f"{self.issuer}{JWKS}",
        }

    def jwks(self) -> dict[str, Any]:
        """The public keys."""
        return {"keys": [{**key.as_dict(private=False), "kid": kid} for kid, (_, key) in self.keys.items()]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a token of now for ``entrepot`` with these changes; None takes a claim away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "subject",
            "aud": "entrepot",
            "iat": now,
            "exp": now + 300,
            "preferred_username": "alice",
            "groups": ["developers"],
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def mint(self, kid: str = "key", header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Sign a token with the key of that id; ``header`` changes its header and not what it is signed with."""
        return self.mint_raw(_json(self.claims(**changes)), kid, header)

    def mint_claims(self, changes: Mapping[str, Any]) -> str:
        """Sign a token with these changes to its claims."""
        return self.mint_raw(_json(self.claims(**changes)))

    def mint_raw(self, payload: bytes, kid: str = "key", header: Mapping[str, Any] | None = None) -> str:
        """Sign any payload."""
        algorithm, key = self.keys[kid]
        signed = f"{_base64(_json({'alg': algorithm, 'kid': kid, 'typ': 'JWT', **(header or {})}))}.{_base64(payload)}"
        name = "Ed25519" if algorithm == "EdDSA" else algorithm
        return f"{signed}.{_base64(JWSRegistry.algorithms[name].sign(signed.encode(), key))}"

    def mint_with_public_key(self, kid: str = "key") -> str:
        """A token whose HMAC has the public key in PEM, which everyone knows, for its secret (RFC 8725 section 2.1)."""
        public = self.keys[kid][1].public_key
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed = unsigned({"alg": "HS256", "kid": kid}, self.claims())
        return f"{signed}.{_base64(hmac.digest(pem, signed.encode(), hashlib.sha256))}"

    def reply_to(self, path: str) -> Reply:
        """What a request gets."""
        self.asked[path] += 1
        if path in self.replies:
            return self.replies[path]
        if path == DISCOVERY:
            return Reply(_json(self.metadata()))
        return Reply(_json(self.jwks())) if path == JWKS else Reply(status=404)


@contextlib.contextmanager
def running_scripted_issuer() -> Generator[ScriptedIssuer, None, None]:
    """Start an issuer with one ES256 key called ``key``, and end it afterwards."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.script = ScriptedIssuer(server.server_port)
    server.script.add_key("key")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.script
    finally:
        server.script.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """The first two segments of a token."""
    return f"{_base64(_json(header))}.{_base64(_json(claims))}"


class _Server(ThreadingHTTPServer):
    script: ScriptedIssuer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        reply = self.server.script.reply_to(self.path)
        if reply.silent:
            self.server.script.ended.wait()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if not reply.endless:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(reply.body)
            while reply.endless and not self.server.script.ended.is_set():
                self.wfile.write(b" " * 65536)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
