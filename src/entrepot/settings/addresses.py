"""Where things are on the network: listeners, the database, the public URL."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from typing_extensions import override

MASK: Final = "********"

_WANTS_ADDRESS = 'wants HOST:PORT such as "127.0.0.1:5000", "0.0.0.0:5000" or "[::1]:5000"'
_WANTS_DATABASE = 'wants "sqlite:////absolute/path" or "postgresql://user:password@host/database"'
WANTS_ENCODED: Final = "has an @ or # outside its host part; write such characters of a password percent-encoded"
_WANTS_URL = 'wants "https://HOST" or "https://HOST:PORT" without a path'
_WANTS_ISSUER = 'wants "https://HOST" or "https://HOST/PATH", without a query'
_WANTS_DIRECTORY = 'wants "ldaps://HOST", "ldap://HOST" or one of them with a port'
_PORT_AT_MOST = 65535
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})")
_URL = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
_ISSUER = re.compile(_URL.pattern + r"(?:/[A-Za-z0-9._~%!$&'()*+,;=:@/-]{0,1000})?")
_DIRECTORY_URL = re.compile(_URL.pattern.replace("https?", "ldaps?"))
_PARAMETER = re.compile(r"([?&])([^=&]*)=([^&]*)")
_SECRET_PARAMETER = re.compile(r"password|secret|token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by name or number, and a TCP port; port 0 lets the system choose a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST:PORT``, IPv6 in brackets; raises ValueError."""
        found = _ADDRESS.fullmatch(text)
        if found is None or int(found[3]) > _PORT_AT_MOST:
            raise ValueError(_WANTS_ADDRESS)
        if found[1]:
            try:
                ip_address(found[1])
            except ValueError:
                raise ValueError(_WANTS_ADDRESS) from None
        return cls(found[1] or found[2], int(found[3]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseUrl:
    """Where the metadata lies; its password shows only in ``reveal``."""

    _text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sqlite:///PATH`` or ``postgresql://…``; a relative path is made absolute. Raises ValueError."""
        scheme, separator, rest = text.partition("://")
        if not separator or not text.isprintable():
            raise ValueError(_WANTS_DATABASE)
        if scheme == "sqlite":
            if not rest.startswith("/") or rest.endswith("/") or rest == "/:memory:" or "?" in rest:
                raise ValueError(_WANTS_DATABASE)
            return cls.of_file(Path(rest[1:]))
        if scheme not in {"postgresql", "postgres"}:
            raise ValueError(_WANTS_DATABASE)
        netloc, path, query = _split(rest)
        if "@" in netloc.rpartition("@")[0] + path + query or "#" in rest:
            raise ValueError(WANTS_ENCODED)
        return cls(f"postgresql://{rest}")

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """The SQLite database in a file."""
        return cls(f"sqlite:///{path.absolute()}")

    @property
    def sqlite_file(self) -> Path | None:
        """The file of an SQLite database; None for PostgreSQL."""
        scheme, _, path = self._text.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def has_password(self) -> bool:
        """Whether showing the whole text would show a password."""
        return str(self) != self._text

    def reveal(self) -> str:
        """The whole text, password and all."""
        return self._text

    @override
    def __str__(self) -> str:
        scheme, _, rest = self._text.partition("://")
        if scheme == "sqlite":
            return self._text
        netloc, path, query = _split(rest)
        login, at, host = netloc.rpartition("@")
        user, colon, _ = login.partition(":")
        return f"{scheme}://{user}{colon}{MASK if colon else ''}{at}{host}{path}{_PARAMETER.sub(_masked, query)}"

    @override
    def __repr__(self) -> str:
        return f"DatabaseUrl({str(self)!r})"


def _split(rest: str) -> tuple[str, str, str]:
    """Host part, path and query, the latter with their first character, of what follows ``scheme://``."""
    before, question_mark, query = rest.partition("?")
    netloc, slash, path = before.partition("/")
    return netloc, slash + path, question_mark + query


def _masked(parameter: re.Match[str]) -> str:
    is_secret = _SECRET_PARAMETER.search(unquote(parameter[2])) is not None
    return f"{parameter[1]}{parameter[2]}={MASK if is_secret else parameter[3]}"


def parse_public_url(text: str) -> str:
    """Read an ``http`` or ``https`` origin, without a slash at its end; raises ValueError."""
    origin = text.removesuffix("/")
    if not _URL.fullmatch(origin) or not _has_host_and_port(origin):
        raise ValueError(_WANTS_URL)
    return origin


def parse_issuer(text: str) -> str:
    """Read the identifier of an OpenID provider as it is (OpenID Connect Discovery, section 3); raises ValueError."""
    if not _ISSUER.fullmatch(text) or not _has_host_and_port(text):
        raise ValueError(_WANTS_ISSUER)
    return text


def parse_directory_url(text: str) -> str:
    """Read the address of an LDAP server, without a slash at its end; raises ValueError."""
    url = text.removesuffix("/")
    if not _DIRECTORY_URL.fullmatch(url) or not _has_host_and_port(url):
        raise ValueError(_WANTS_DIRECTORY)
    return url


def _has_host_and_port(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


def is_protected(url: str) -> bool:
    """Whether what is sent to a URL over HTTP goes through TLS or stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or Address(parts.hostname or "", 0).is_loopback
