"""What a client has to know of a registry before it can send it anything."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from entrepot.secrets import Secret


class Scheme(StrEnum):
    """How a registry is spoken to."""

    HTTPS = "https"
    HTTP = "http"
    EITHER = "either"
    """TLS, or plain HTTP where no TLS is spoken: for this machine itself, and what configuration calls insecure."""


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """Whom to trust and what to show."""

    authorities: tuple[Path, ...] = ()
    """Files in PEM, trusted besides the system's."""
    certificate: Path | None = None
    """What is shown to a registry that asks for it, in PEM; with ``key`` if the file has none."""
    key: Path | None = None
    verify: bool = True
    """False trusts anybody who answers."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that speaks the distribution specification."""

    registry: str
    """``host[:port]`` as references name it; credentials are looked up under it."""
    scheme: Scheme
    host: str
    """A name or an address, without brackets."""
    port: int
    path: str = ""
    """What stands before ``/v2``, with a slash in front; usually nothing."""
    has_api_path: bool = False
    """Whether ``path`` stands in place of ``/v2``."""
    tls: TLSSettings = TLSSettings()
    address: str | None = None
    """Connect to this address instead of those that the name has."""
    proxy: str | None = None
    """``http://host:port`` of a proxy; "" for none, whatever the environment says."""
    headers: tuple[tuple[str, Secret], ...] = ()
    """Sent with every request to this origin, and to no other."""
    found_in: tuple[str, ...] = ()
    """Where all of this comes from, for messages."""

    @property
    def authority(self) -> str:
        """``host:port`` with brackets where an address needs them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another server that may have what a registry has."""

    origin: Origin
    repository: str
    """The repository's name there."""
    tags: bool = False
    """Whether it may say what a tag means; content by digest is checked, a tag is believed."""
    digests: bool = True
    """Whether it is asked for content by digest."""
    tagged: bool = False
    """Whether it is asked for the content of what it said that a tag means."""
    namespace: str | None = None
    """Sent as ``?ns=``: the registry that is mirrored, for mirrors of several."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a repository is found: the registry itself for everything, mirrors before it for pulls."""

    origin: Origin
    repository: str
    """The repository's name there; configuration may place it elsewhere than the reference says."""
    mirrors: tuple[Mirror, ...] = ()
    pulled_from: Mirror | None = None
    """What is asked in the registry's place when something is pulled."""
    namespace: str | None = None
    """Sent as ``?ns=`` with pulls."""

    def for_pulls(self) -> "Route":
        """The route that pulls take."""
        last = self.pulled_from
        if last is None:
            return self
        return replace(self, origin=last.origin, repository=last.repository, pulled_from=None, namespace=last.namespace)


class OriginSource(Protocol):
    """Where it is known how registries are reached."""

    async def find(self, registry: str, repository: str) -> Route:
        """How to reach a repository; raises ClientError (OriginBlocked) when configuration forbids it.

        ``registry`` is ``host[:port]`` as references name it, ``docker.io`` for Docker Hub; ``repository`` the name
        without it, "" for what is about the whole registry.
        """
        ...
