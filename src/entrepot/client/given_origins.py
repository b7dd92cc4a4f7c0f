"""Registries as a command line or a program describes them, over what configuration says."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from entrepot.client.addresses import is_loopback
from entrepot.client.errors import ConfigurationInvalid
from entrepot.client.origins import Mirror, Origin, OriginSource, Route, Scheme, TLSSettings
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
        origin, last = route.origin, route.pulled_from
        if not self.registries or registry in self.registries:
            origin = self._given(origin)
            last = None if last is None else replace(last, origin=self._given(last.origin))
        mirrors = tuple(_mirror_with_proxy(mirror) for mirror in route.mirrors)
        last = None if last is None else _mirror_with_proxy(last)
        return replace(route, origin=with_proxy(origin), mirrors=mirrors, pulled_from=last)

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
        found_in = (*origin.found_in, *self._said(origin.host, port))
        return replace(origin, tls=tls, scheme=scheme, port=port, address=address, found_in=found_in)

    def _said(self, host: str, port: int) -> list[str]:
        """What is given here, for people."""
        found = [f"--ca {file} (authority)" for file in self.authorities]
        if self.certificate is not None:
            found.append(f"--cert {self.certificate} (client certificate)")
        if self.is_plain_http:
            found.append("--plain-http")
        if not self.is_verified:
            found.append("--insecure-skip-verify")
        if (host, port) in self.addresses:
            found.append("--resolve (address)")
        return found


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
        return replace(origin, proxy=origin.proxy or None)
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get("https" if origin.scheme is Scheme.EITHER else origin.scheme.value) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass_environment(origin.authority, proxies):  # type: ignore[attr-defined]  # not in its stub
        return origin
    check_proxy(proxy, "HTTPS_PROXY")
    return replace(origin, proxy=proxy, found_in=(*origin.found_in, "the environment (proxy)"))


def check_proxy(url: str, found_in: str) -> None:
    """Raise ConfigurationInvalid for a proxy that cannot be used; a password in it is not shown."""
    if url.startswith("http://"):
        return
    cause = "only proxies over http:// can be used"
    raise ConfigurationInvalid(found_in, reason="proxy", cause=cause, evidence=[_without_user(url)])


def _mirror_with_proxy(mirror: Mirror) -> Mirror:
    return replace(mirror, origin=with_proxy(mirror.origin))


def parse_address(text: str) -> tuple[tuple[str, int], str]:
    """Read ``HOST:PORT:ADDRESS`` as ``--resolve`` takes it; raises ConfigurationInvalid."""
    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    if not host or not port.isdecimal() or not address:
        raise ConfigurationInvalid(text, reason="resolve", cause="it is not HOST:PORT:ADDRESS")
    return (host, int(port)), address.strip("[]")


def _without_user(url: str) -> str:
    return url.rpartition("@")[2] if "@" in url else url
