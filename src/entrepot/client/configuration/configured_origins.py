"""Everything that is configured about a registry, put together."""

import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from entrepot.client.addresses import is_loopback
from entrepot.client.configuration.certificate_folders import find_certificates
from entrepot.client.configuration.client_toml import OwnRegistry, read_client_toml
from entrepot.client.configuration.docker_proxies import read_proxies
from entrepot.client.configuration.hosts_toml import Hosts, Server, find_hosts
from entrepot.client.configuration.places import ConfigurationPlaces
from entrepot.client.configuration.registries_conf import NamedRegistry, find_registry, read_registries
from entrepot.client.errors import OriginBlocked
from entrepot.client.given_origins import plain_origin
from entrepot.client.origins import Mirror, Origin, Route, Scheme, TLSSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfiguredOrigins:
    """Implements OriginSource over the files of this client, podman, containerd and docker; each is read once.

    What ``client.toml`` says of a registry counts more than ``registries.conf``, that more than ``hosts.toml``;
    certificates of all of them are trusted.
    """

    def __init__(self, places: ConfigurationPlaces) -> None:
        self._places = places
        self._own: dict[str, OwnRegistry] | None = None
        self._named: list[NamedRegistry] | None = None
        self._hosts: dict[str, Hosts | None] = {}
        self._proxies: Mapping[str, str] | None = None

    async def find(self, registry: str, repository: str) -> Route:
        """The registry, and its mirrors in the order in which they are asked; raises OriginBlocked."""
        name = f"{registry}/{repository}" if repository else registry
        own, named = self._own_of(registry), find_registry(self._named_registries(), name)
        for said in (own, named):
            if said is not None and said.is_blocked:
                raise OriginBlocked(name, reason="blocked", evidence=[f"blocked in {said.found_in}"])
        whole = named.located(name) if named is not None else name
        asked, _, path = whole.partition("/")
        origin, prefix = self._origin(asked, is_insecure=named is not None and named.is_insecure)
        if named is not None:
            origin = _told(origin, named.found_in, named.prefix)
        mirrors = [*self._own_mirrors(own, repository), *self._named_mirrors(named, name)]
        mirrors += self._hosts_mirrors(asked, path)
        return Route(self._with_own(origin, own), f"{prefix}{path}" if path else "", tuple(mirrors))

    def _origin(self, registry: str, *, is_insecure: bool = False) -> tuple[Origin, str]:
        """A registry with its certificates and proxy, and what comes before names of repositories there."""
        origin, prefix = plain_origin(registry), ""
        hosts = self._hosts_of(registry)
        if hosts is not None and hosts.server is not None:
            origin, prefix = _served(hosts.server, registry, hosts.found_in), hosts.server.prefix
        if is_insecure:
            origin = replace(origin, scheme=Scheme.EITHER, tls=replace(origin.tls, verify=False))
        folders = (
            self._places.certificate_folders
            if hosts is not None
            else (
                *self._places.certificate_folders,
                *self._places.host_folders,
            )
        )
        found = find_certificates(folders, registry)
        if found is not None:
            origin = _told(replace(origin, tls=_both(origin.tls, found.tls)), found.folder)
        return self._with_proxy(origin), prefix

    def _with_own(self, origin: Origin, own: OwnRegistry | None) -> Origin:
        if own is None:
            return origin
        changed = replace(
            _plain(origin) if own.is_plain_http else origin,
            tls=_both(origin.tls, own.tls),
            address=own.address or origin.address,
            proxy=own.proxy or origin.proxy,
        )
        return _told(changed, own.found_in)

    def _own_mirrors(self, own: OwnRegistry | None, repository: str) -> list[Mirror]:
        mirrors = []
        for said in own.mirrors if own is not None else ():
            origin, path = self._located(f"{said.location}/{repository}", is_insecure=False)
            if said.is_plain_http:
                origin = _plain(origin)
            assert own is not None
            mirrors.append(Mirror(_told(origin, own.found_in), path, said.tags, said.digests))
        return mirrors

    def _named_mirrors(self, named: NamedRegistry | None, name: str) -> list[Mirror]:
        if named is None:
            return []
        rest = named.rest_of(name) or ""
        mirrors = []
        for said in named.mirrors:
            origin, path = self._located(f"{said.location}{rest}", is_insecure=said.is_insecure)
            mirrors.append(Mirror(_told(origin, named.found_in, named.prefix), path, said.tags, said.digests))
        return mirrors

    def _located(self, whole: str, *, is_insecure: bool) -> tuple[Origin, str]:
        host, _, path = whole.partition("/")
        origin, prefix = self._origin(host, is_insecure=is_insecure)
        return origin, f"{prefix}{path}".rstrip("/")

    def _hosts_mirrors(self, registry: str, path: str) -> list[Mirror]:
        hosts = self._hosts_of(registry)
        if hosts is None:
            return []
        mirrors = []
        for server in hosts.mirrors:
            origin = self._with_proxy(_served(server, _authority(server), hosts.found_in))
            mirrors.append(
                Mirror(
                    origin,
                    f"{server.prefix}{path}",
                    tags="resolve" in server.capabilities,
                    digests="pull" in server.capabilities,
                    namespace=registry if origin.registry != registry else None,
                )
            )
        return mirrors

    def _with_proxy(self, origin: Origin) -> Origin:
        """With docker's proxy where the environment, which is looked at later, names none."""
        if self._proxies is None:
            self._proxies = read_proxies(self._places.docker_config)
        if not self._proxies or is_loopback(origin.host) or urllib.request.getproxies_environment():
            return origin
        scheme = "https" if origin.scheme is Scheme.EITHER else origin.scheme.value
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if not proxy:
            return origin
        if urllib.request.proxy_bypass_environment(origin.authority, dict(self._proxies)):  # type: ignore[attr-defined]  # not in its stub
            return origin
        return _told(replace(origin, proxy=proxy), self._places.docker_config, "proxies")

    def _own_of(self, registry: str) -> OwnRegistry | None:
        if self._own is None:
            machine_first = [read_client_toml(path) for path in reversed(self._places.own)]
            self._own = {host: said for entries in machine_first for host, said in entries.items()}
        return self._own.get(registry)

    def _named_registries(self) -> list[NamedRegistry]:
        if self._named is None:
            self._named = read_registries(self._places.registries_conf, self._places.registries_conf_folders)
        return self._named

    def _hosts_of(self, registry: str) -> Hosts | None:
        if registry not in self._hosts:
            self._hosts[registry] = find_hosts(self._places.host_folders, registry)
        return self._hosts[registry]


def _served(server: Server, registry: str, found_in: Path) -> Origin:
    return Origin(
        registry=registry,
        scheme=Scheme(server.scheme),
        host=server.host,
        port=server.port,
        path=server.path,
        tls=server.tls,
        headers=server.headers,
        found_in=(str(found_in),),
    )


def _both(first: TLSSettings, second: TLSSettings) -> TLSSettings:
    """The authorities of both; the second's certificate if it has one; verification unless one of them does without."""
    return TLSSettings(
        (*first.authorities, *second.authorities),
        second.certificate or first.certificate,
        second.key if second.certificate else first.key,
        verify=first.verify and second.verify,
    )


def _told(origin: Origin, place: Path, key: str = "") -> Origin:
    return replace(origin, found_in=(*origin.found_in, f"{place}, {key}" if key else str(place)))


def _authority(server: Server) -> str:
    usual = {"https": 443, "http": 80}[server.scheme]
    host = f"[{server.host}]" if ":" in server.host else server.host
    return host if server.port == usual else f"{host}:{server.port}"


def _plain(origin: Origin) -> Origin:
    """Spoken to without TLS, at the usual port unless one was written."""
    has_port = bool(origin.registry.rpartition("]")[2].rpartition(":")[1])
    return replace(origin, scheme=Scheme.HTTP, port=origin.port if has_port else 80)
