"""Asking an identity provider over HTTP: JSON within bounds of size and time, no redirects, its own trust."""

import asyncio
import base64
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote_plus, urlsplit

import httpx

from entrepot.access.port import Clock
from entrepot.access.providers.circuit import Circuit
from entrepot.access.providers.errors import ProviderUnavailable
from entrepot.access.providers.json_documents import JsonObject, decode_json
from entrepot.secrets import Secret

ANSWER_BYTES_AT_MOST: Final = 1 << 20  # a set of 100 keys with certificates has some 300 KiB
TIMEOUT: Final = timedelta(seconds=5)
URL_CHARACTERS_AT_MOST: Final = 2048

_CONNECTIONS_AT_MOST = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the JSON object that came with it."""

    status: int
    content: JsonObject


class ProviderClient:
    """Talks to the servers of one provider; ``ca`` replaces the system's authorities.

    URLs have to be ``https``, but for a provider on loopback or with ``allow_http``. Proxies that the environment names
    are used, though not to loopback. Whatever goes wrong raises ProviderUnavailable, is logged with the host, and keeps
    everyone from asking again for the circuit's pause.
    """

    def __init__(
        self,
        issuer: str,
        *,
        ca: Path | None,
        allow_http: bool = False,
        timeout: timedelta = TIMEOUT,
        clock: Clock = time.monotonic,
    ) -> None:
        local = is_loopback(issuer)
        self._allow_http = allow_http or local
        self._timeout = timeout.total_seconds()
        self._circuit = Circuit(clock=clock)
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=ca),
            follow_redirects=False,
            trust_env=not local,
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=_CONNECTIONS_AT_MOST),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "entrepot"},
        )

    async def get(self, url: str, *, bearer: Secret | None = None) -> JsonObject:
        """The object under ``url``, which has to answer 200."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer.reveal()}"}
        return (await self._ask("GET", url, headers, None, {HTTPStatus.OK})).content

    async def post(self, url: str, fields: Mapping[str, str], *, client: tuple[str, Secret] | None = None) -> Answer:
        """What a form is answered, with 200 or with an OAuth error's 400, 401 or 403 (RFC 6749 section 5.2).

        ``client`` is an id and secret for HTTP Basic (section 2.3.1).
        """
        headers = {}
        if client is not None:
            credentials = f"{quote_plus(client[0])}:{quote_plus(client[1].reveal())}"
            headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        expected = {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        return await self._ask("POST", url, headers, fields, expected)

    def check_url(self, url: object) -> str:
        """Take a value of the provider for a URL that may be asked or shown; raises ProviderUnavailable."""
        if not isinstance(url, str) or not _is_url(url):
            self.refuse(str(url)[:URL_CHARACTERS_AT_MOST], "oidc-url")
        if urlsplit(url).scheme != "https" and not self._allow_http:
            self.refuse(url, "oidc-insecure")
        return url

    def refuse(self, url: str, reason: str, more: str = "") -> NoReturn:
        """Raise ProviderUnavailable for what came from ``url``, log the host, and let nobody ask for a while."""
        logger.warning("the identity provider at %s does not answer as it should: %s%s", host_of(url), reason, more)
        self._circuit.failed(reason)
        raise ProviderUnavailable(reason=reason)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        fields: Mapping[str, str] | None,
        expected: set[HTTPStatus],
    ) -> Answer:
        self._circuit.check()
        self.check_url(url)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(method, url, headers=headers, data=fields) as response,
            ):
                self._check_head(url, response, expected)
                answer = Answer(response.status_code, self._decoded(url, await self._body(url, response)))
        except (TimeoutError, httpx.TimeoutException):
            self.refuse(url, "oidc-timeout")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self.refuse(url, "oidc-connection", f" ({type(error).__name__}: {error})")
        self._circuit.succeeded()
        return answer

    def _check_head(self, url: str, response: httpx.Response, expected: set[HTTPStatus]) -> None:
        if response.is_redirect:
            self.refuse(url, "oidc-redirect")
        if response.status_code not in expected:
            self.refuse(url, "oidc-status", f" ({response.status_code})")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            self.refuse(url, "oidc-malformed", " (it is compressed)")

    async def _body(self, url: str, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > ANSWER_BYTES_AT_MOST:
                self.refuse(url, "oidc-too-large")
        return bytes(body)

    def _decoded(self, url: str, body: bytes) -> JsonObject:
        content = decode_json(body)
        if content is None:
            self.refuse(url, "oidc-malformed")
        return content


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(url: str) -> str:
    """Host and port of a URL, for the log; a part of the text that cannot end a line for what is none."""
    try:
        found = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        found = ""
    return repr(found or url[:80])[1:-1]


def _is_url(url: str) -> bool:
    """Whether a text is an absolute URL over HTTP without a login or fragment in it."""
    if not 0 < len(url) <= URL_CHARACTERS_AT_MOST or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and not parts.fragment and "@" not in parts.netloc
