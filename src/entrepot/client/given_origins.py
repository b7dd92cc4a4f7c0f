"""Registries as a command line or a program describes them, over what configuration says."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from entrepot.client.addresses import is_loopback
from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.origins import Origin, OriginSource, Route, Scheme, TLSSettings
from entrepot.client.references import DOCKER_HUB

_HUB_HOST: Final = "registry-1.docker.io"
_LOOPBACK: Final = ("localhost", "127.", "[::1]", "::1")


@dataclass(frozen=True, slots=True)
class GivenOrigins:
    """Implements OriginSource: what is given here counts more than what ``configured`` says."""

    authorities: tuple[Path, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    is_plain_http: bool = False
    is_verified: bool = True
    addresses: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Addresses by host and port, instead of those that the names have."""
    registries: frozenset[str] = frozenset()
    """The registries that all of this is about; none for every one."""
    configured: OriginSource | None = None

    async def find(self, registry: str, repository: str) -> Route:
        """The route, with proxies from the environment where configuration names none."""
        if self.configured is None:
            route = Route(plain_origin(registry), repository)
        else:
            route = await self.configured.find(registry, repository)
        origin = route.origin
        if not self.registries or registry in self.registries:
            origin = self._given(origin)
        mirrors = tuple(replace(mirror, origin=with_proxy(mirror.origin)) for mirror in route.mirrors)
        return replace(route, origin=with_proxy(origin), mirrors=mirrors)

    def _given(self, origin: Origin) -> Origin:
        tls = origin.tls
        tls = TLSSettings(
            authorities=(*self.authorities, *tls.authorities),
            certificate=self.certificate or tls.certificate,
            key=self.key if self.certificate else tls.key,
            verify=tls.verify and self.is_verified,
        )
        port = origin.port
        scheme = origin.scheme
        if self.is_plain_http:
            scheme = Scheme.HTTP
            has_port = urlsplit(f"//{origin.registry}").port is not None
            port = origin.port if has_port else 80
        elif self.authorities or self.certificate or not self.is_verified:
            scheme = Scheme.HTTPS if scheme is Scheme.EITHER else scheme
        address = self.addresses.get((origin.host, port), origin.address)
        return replace(origin, tls=tls, scheme=scheme, port=port, address=address)


def plain_origin(registry: str) -> Origin:
    """A registry about which nothing is known: TLS, and plain HTTP at most for this machine."""
    parts = urlsplit(f"//{registry}")
    host = parts.hostname or ""
    scheme = Scheme.EITHER if registry.startswith(_LOOPBACK) and is_loopback(host) else Scheme.HTTPS
    port = parts.port or 443
    if registry == DOCKER_HUB:
        return Origin(registry, Scheme.HTTPS, _HUB_HOST, 443)
    if scheme is Scheme.EITHER and parts.port is None:
        port = 80
        scheme = Scheme.HTTP
    return Origin(registry, scheme, host, port)


def with_proxy(origin: Origin) -> Origin:
    """With the proxy of ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` unless ``NO_PROXY`` names the host."""
    if origin.proxy is not None or is_loopback(origin.host):
        return origin
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get("https" if origin.scheme is Scheme.EITHER else origin.scheme.value) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass_environment(origin.authority, proxies):  # type: ignore[attr-defined]  # not in its stub
        return origin
    if not proxy.startswith("http://"):
        raise ConfigurationInvalid(
            "HTTPS_PROXY",
            reason="proxy",
            cause="only proxies over http:// can be used",
            evidence=[_without_user(proxy)],
        )
    return replace(origin, proxy=proxy)


def parse_address(text: str) -> tuple[tuple[str, int], str]:
    """Read ``HOST:PORT:ADDRESS`` as ``--resolve`` takes it; raises ConfigurationInvalid."""
    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    if not host or not port.isdecimal() or not address:
        raise ConfigurationInvalid(text, reason="resolve", cause="it is not HOST:PORT:ADDRESS")
    return (host, int(port)), address.strip("[]")


def _without_user(url: str) -> str:
    return url.rpartition("@")[2] if "@" in url else url
