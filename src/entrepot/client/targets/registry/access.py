"""A repository as its registry's API knows it: paths, scopes, words for errors."""

from dataclasses import dataclass
from urllib.parse import quote

from entrepot.client.origins import Mirror, Origin, Route
from entrepot.client.transport import Scope, Transport
from entrepot.oci import Descriptor, Digest, Reference


@dataclass(frozen=True, slots=True)
class Access:
    """How one repository is asked."""

    transport: Transport
    route: Route
    place: str
    """``host/repository`` as the reference names it."""

    @property
    def origin(self) -> Origin:
        """The registry itself."""
        return self.route.origin

    def path(self, rest: str) -> str:
        """A path of the repository's API, such as ``manifests/latest``."""
        return f"/v2/{self.route.repository}/{rest}"

    def scopes(self, *actions: str, mounted_from: str | None = None) -> frozenset[Scope]:
        """What a token needs for these actions, and to read what is mounted."""
        found = {Scope.repository(self.route.repository, *actions)}
        if mounted_from is not None and mounted_from != self.route.repository:
            found.add(Scope.repository(mounted_from, "pull"))
        return frozenset(found)

    def at(self, mirror: Mirror) -> "Access":
        """The same repository at a mirror."""
        route = Route(mirror.origin, mirror.repository, namespace=mirror.namespace)
        return Access(self.transport, route, self.place)

    def pull_scopes(self, mirror: Mirror | None) -> frozenset[Scope]:
        """What a token needs to pull from a mirror, or from the registry: each has its own name for the repository."""
        return frozenset({Scope.repository(self.route.repository if mirror is None else mirror.repository, "pull")})

    def namespace(self, mirror: Mirror | None) -> str | None:
        """What is sent as ``?ns=`` with a pull."""
        return self.route.namespace if mirror is None else mirror.namespace

    def subject(self, what: Reference | Descriptor | None = None) -> str:
        """What an error is about."""
        if what is None:
            return self.place
        digest = what.digest if isinstance(what, Descriptor) else what
        return f"{self.place}{'@' if isinstance(digest, Digest) else ':'}{digest}"


def query(**values: str | int | None) -> str:
    """A query with what is not None, "" for nothing."""
    said = [f"{name}={quote(str(value), safe='')}" for name, value in values.items() if value is not None]
    return f"?{'&'.join(said)}" if said else ""


def with_query(location: str, **values: str) -> str:
    """A URL that a registry gave, with more in its query (distribution spec, "Pushing a blob")."""
    said = "&".join(f"{name}={quote(value, safe=':')}" for name, value in values.items())
    return f"{location}{'&' if '?' in location else '?'}{said}"
