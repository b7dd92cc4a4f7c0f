"""Everything that is configured about a registry, put together."""

import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Final

from entrepot.client.addresses import is_loopback
from entrepot.client.configuration.certificate_folders import find_certificates
from entrepot.client.configuration.client_toml import OwnRegistry, read_client_toml
from entrepot.client.configuration.docker_proxies import DockerProxies, read_proxies
from entrepot.client.configuration.hosts_toml import Hosts, Server, find_hosts
from entrepot.client.configuration.places import ConfigurationPlaces
from entrepot.client.configuration.registries_conf import NamedRegistry, find_registry, read_registries
from entrepot.client.errors import ConfigurationInvalid, OriginBlocked, ReferenceInvalid
from entrepot.client.files import in_thread
from entrepot.client.given_origins import check_proxy, plain_origin
from entrepot.client.origins import Mirror, Origin, Route, Scheme, TLSSettings
from entrepot.client.references import DOCKER_HUB, HUB_NAMES, parse_registry

_MIRRORS_AT_MOST: Final = 100


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
        self._proxies: DockerProxies | None = None

    async def find(self, registry: str, repository: str) -> Route:
        """The registry, and its mirrors in the order in which they are asked.

        Raises OriginBlocked, and ConfigurationInvalid with file and key.
        """
        return await in_thread(self._find, registry, repository)

    def _find(self, registry: str, repository: str) -> Route:
        name = f"{registry}/{repository}" if repository else registry
        own, named = self._own_of(registry), find_registry(self._named_registries(), name)
        for said in (own, named):
            if said is not None and said.is_blocked:
                raise OriginBlocked(name, reason="blocked", evidence=[f"blocked in {said.found_in}"])
        is_insecure = named is not None and named.is_insecure
        origin, prefix = self._origin(registry, is_insecure=is_insecure)
        whole = named.located(name) if named is not None else name
        asked, path = _split(whole)
        if whole == name:
            last = self._served_elsewhere(registry, repository)
        else:
            located, inner = self._located(whole, named, is_insecure=is_insecure)
            last = Mirror(located, inner, tags=True)
        mirrors = [*self._own_mirrors(own, repository), *self._named_mirrors(named, name)]
        mirrors += self._hosts_mirrors(asked, path)
        if named is not None:
            origin = _told(origin, named.found_in, named.prefix)
        return Route(origin, f"{prefix}{repository}" if repository else "", tuple(mirrors[:_MIRRORS_AT_MOST]), last)

    def _served_elsewhere(self, registry: str, repository: str) -> Mirror | None:
        """The server that containerd asks in the registry's place; it may be that of several."""
        hosts = self._hosts_of(registry)
        if hosts is None or hosts.server is None or hosts.server.is_of(registry) or not repository:
            return None
        origin = self._completed(hosts.server, hosts)
        return Mirror(origin, f"{hosts.server.prefix}{repository}", tags=True, namespace=registry)

    def _origin(self, registry: str, *, is_insecure: bool = False) -> tuple[Origin, str]:
        """A server with all that is said of it, and what comes before names of repositories there."""
        origin, prefix = plain_origin(registry), ""
        hosts = self._hosts_of(registry)
        if hosts is not None and hosts.server is not None and hosts.server.is_of(registry):
            origin, prefix = _served(hosts.server, registry, hosts.found_in), hosts.server.prefix
        if is_insecure:
            scheme = Scheme.HTTP if origin.scheme is Scheme.HTTP else Scheme.EITHER
            origin = replace(origin, scheme=scheme, tls=replace(origin.tls, verify=False))
        origin = self._with_certificates(origin, has_hosts=hosts is not None)
        return self._with_proxy(self._with_own(origin)), prefix

    def _with_certificates(self, origin: Origin, *, has_hosts: bool) -> Origin:
        # containerd looks for such files where it finds no hosts.toml.
        more = () if has_hosts else self._places.host_folders
        found = find_certificates((*self._places.certificate_folders, *more), origin.registry)
        if found is None:
            return origin
        tls = _both(origin.tls, found.tls)
        # Whoever says whom to trust on this machine means TLS.
        is_tls = origin.scheme is Scheme.EITHER and tls.verify and tls.authorities
        scheme = Scheme.HTTPS if is_tls else origin.scheme
        return replace(origin, tls=tls, scheme=scheme, found_in=(*origin.found_in, *found.found_in))

    def _with_own(self, origin: Origin) -> Origin:
        own = self._own_of(origin.registry)
        if own is None:
            return origin
        tls, scheme = _both(origin.tls, own.tls), origin.scheme
        if own.is_verified is not None:
            tls = replace(tls, verify=own.is_verified)
        if scheme is Scheme.EITHER and (own.is_verified or (own.tls.authorities and tls.verify)):
            scheme = Scheme.HTTPS
        changed = replace(
            origin,
            tls=tls,
            scheme=scheme,
            address=own.address or origin.address,
            proxy=origin.proxy if own.proxy is None else own.proxy,
        )
        return _told(_plain(changed) if own.is_plain_http else changed, own.found_in, f"registries.{origin.registry}")

    def _own_mirrors(self, own: OwnRegistry | None, repository: str) -> list[Mirror]:
        mirrors = []
        for said in own.mirrors if own is not None else ():
            assert own is not None
            origin, path = self._reached(f"{said.location}/{repository}", own.found_in, is_insecure=False)
            if said.is_plain_http:
                origin = _plain(origin)
            mirrors.append(Mirror(_told(origin, own.found_in), path, said.tags, said.digests))
        return mirrors

    def _named_mirrors(self, named: NamedRegistry | None, name: str) -> list[Mirror]:
        if named is None:
            return []
        rest = named.rest_of(name) or ""
        mirrors = []
        for said in named.mirrors:
            origin, path = self._located(f"{said.location}{rest}", named, is_insecure=said.is_insecure)
            is_tagged = said.tags and not said.digests
            mirrors.append(Mirror(origin, path, said.tags, said.digests, is_tagged))
        return mirrors

    def _located(self, whole: str, named: NamedRegistry | None, *, is_insecure: bool) -> tuple[Origin, str]:
        assert named is not None
        origin, path = self._reached(whole, named.found_in, is_insecure=is_insecure)
        return _told(origin, named.found_in, named.prefix), path

    def _reached(self, whole: str, found_in: Path, *, is_insecure: bool) -> tuple[Origin, str]:
        """A server that a file names with a repository; raises ConfigurationInvalid for what names none."""
        host, path = _split(whole)
        try:
            registry = parse_registry(host)
        except ReferenceInvalid as error:
            raise ConfigurationInvalid(
                f"{found_in}: location", reason="value", cause=error.cause, evidence=[whole]
            ) from error
        origin, prefix = self._origin(registry, is_insecure=is_insecure)
        return origin, f"{prefix}{path}".rstrip("/")

    def _hosts_mirrors(self, registry: str, path: str) -> list[Mirror]:
        hosts = self._hosts_of(registry)
        if hosts is None:
            return []
        mirrors = []
        for server in hosts.mirrors:
            origin = self._completed(server, hosts)
            mirrors.append(
                Mirror(
                    origin,
                    f"{server.prefix}{path}",
                    tags="resolve" in server.capabilities,
                    digests="pull" in server.capabilities,
                    namespace=_namespace(origin, registry),
                )
            )
        return mirrors

    def _completed(self, server: Server, hosts: Hosts) -> Origin:
        """A server of hosts.toml with what other files say of it."""
        served = _served(server, server.registry, hosts.found_in)
        return self._with_proxy(self._with_own(self._with_certificates(served, has_hosts=True)))

    def _with_proxy(self, origin: Origin) -> Origin:
        """With docker's proxy where neither a file before names one nor the environment, which is looked at later."""
        if origin.proxy is not None or is_loopback(origin.host):
            return origin
        if self._proxies is None:
            self._proxies = read_proxies(self._places.docker_config)
        scheme = "http" if origin.scheme is Scheme.HTTP else "https"
        found = self._proxies.find(origin.authority, scheme)
        if found is None or {scheme, "all"} & urllib.request.getproxies_environment().keys():
            return origin
        proxy, place = found
        if proxy:
            check_proxy(proxy, place)
        told = f"{place} ({'proxy' if proxy else 'no proxy'})"
        return replace(origin, proxy=proxy, found_in=(*origin.found_in, told))

    def _own_of(self, registry: str) -> OwnRegistry | None:
        if self._own is None:
            machine_first = [read_client_toml(path) for path in reversed(self._places.own)]
            self._own = {host: said for entries in machine_first for host, said in entries.items()}
        return self._own.get(registry)

    def _named_registries(self) -> list[NamedRegistry]:
        if self._named is None:
            places = self._places
            self._named = read_registries(places.registries_conf, places.registries_conf_folders)
        return self._named

    def _hosts_of(self, registry: str) -> Hosts | None:
        if registry not in self._hosts:
            self._hosts[registry] = find_hosts(self._places.host_folders, registry)
        return self._hosts[registry]


def _split(whole: str) -> tuple[str, str]:
    host, _, path = whole.partition("/")
    return host, path


def _namespace(origin: Origin, registry: str) -> str | None:
    """The registry that a server on another host is asked for (containerd, docs/hosts.md)."""
    is_itself = origin.registry == registry or (registry == DOCKER_HUB and origin.registry in HUB_NAMES)
    return None if is_itself else registry


def _served(server: Server, registry: str, found_in: Path) -> Origin:
    """A server; credentials are looked up under ``registry``."""
    return Origin(
        registry=registry,
        scheme=Scheme(server.scheme),
        host=server.host,
        port=server.port,
        path=server.path,
        has_api_path=server.has_api_path,
        tls=server.tls,
        headers=server.headers,
        found_in=(f"{found_in} ({_given_by(server)})",),
    )


def _given_by(server: Server) -> str:
    tls = server.tls
    given = {
        "server": True,
        "authority": tls.authorities,
        "client certificate": tls.certificate,
        "no verification": not tls.verify,
        "headers": server.headers,
    }
    return ", ".join(name for name, is_given in given.items() if is_given)


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


def _plain(origin: Origin) -> Origin:
    """Spoken to without TLS, at the usual port unless one was written."""
    has_port = bool(origin.registry.rpartition("]")[2].rpartition(":")[1])
    return replace(origin, scheme=Scheme.HTTP, port=origin.port if has_port else 80)
