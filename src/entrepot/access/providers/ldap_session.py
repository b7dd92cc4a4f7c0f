"""One connection to an LDAP server, for one login (RFC 4511); it blocks, so it belongs on a thread."""

import math
import socket
import ssl
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

import ldap3
from ldap3.core import results
from typing_extensions import override

from entrepot.access.port import Clock
from entrepot.access.providers.errors import ProviderUnavailable
from entrepot.secrets import Secret

# What a bind is answered when the name or the password is not good, or its holder may not log in now.
_NOT_LET_IN = frozenset(
    {
        results.RESULT_INVALID_CREDENTIALS,
        results.RESULT_NO_SUCH_OBJECT,
        results.RESULT_INVALID_DN_SYNTAX,
        results.RESULT_INAPPROPRIATE_AUTHENTICATION,
        results.RESULT_CONSTRAINT_VIOLATION,  # locked, on 389 Directory Server
        results.RESULT_UNWILLING_TO_PERFORM,  # deactivated, there
    }
)


@dataclass(frozen=True, slots=True)
class LdapServer:
    """Where a directory answers; ``trust`` is what its certificate is checked with, None without TLS."""

    host: str
    port: int
    trust: ssl.SSLContext | None
    start_tls: bool
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class LdapEntry:
    """An entry that a search found; ``attributes`` are by name in lower case."""

    dn: str
    attributes: Mapping[str, list[bytes]]


@dataclass(frozen=True, slots=True)
class Found:
    """Entries of a search; ``complete`` unless there are more than were asked for."""

    entries: tuple[LdapEntry, ...]
    complete: bool


class LdapSession:
    """A connection, protected by TLS unless the server has none; whatever fails on it raises ProviderUnavailable.

    All of its operations together may take ``timeout``.
    """

    def __init__(self, server: LdapServer, clock: Clock = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self._deadline = clock() + server.timeout.total_seconds()
        self._trust = _Trust(server.trust)
        seconds = server.timeout.total_seconds()
        address = ldap3.Server(
            server.host,
            port=server.port,
            use_ssl=server.trust is not None and not server.start_tls,
            tls=self._trust,
            get_info=ldap3.NONE,
            connect_timeout=seconds,
        )
        self._connection: Any = ldap3.Connection(
            address,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            auto_range=False,
            check_names=False,
            read_only=True,
            receive_timeout=math.ceil(seconds),
        )

    def __enter__(self) -> Self:
        try:
            with self._step():
                self._connection.open(read_server_info=False)
            if self._server.start_tls:
                with self._step():
                    self._connection.start_tls(read_server_info=False)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def bind(self, dn: str, password: Secret) -> bool:
        """Whether the server takes this password for this name; both have to be something (RFC 4513 section 5.1.2)."""
        content = password.reveal().encode()
        if not dn or not content:
            return False
        with self._step():
            # Bytes, since of text the library removes characters, until perhaps nothing is left.
            let_in: bool = self._connection.rebind(dn, content, ldap3.SIMPLE, read_server_info=False)
        if let_in is not True and self._code not in _NOT_LET_IN:
            raise ProviderUnavailable(reason="ldap-bind", code=self._code)
        return let_in is True

    def search(self, base: str, filter_: str, attributes: list[str], at_most: int) -> Found:
        """At most so many entries under ``base``; references to other servers are not followed."""
        with self._step():
            self._connection.search(
                base,
                filter_,
                ldap3.SUBTREE,
                ldap3.DEREF_NEVER,
                attributes,
                size_limit=at_most,
                time_limit=math.ceil(self._server.timeout.total_seconds()),
            )
        if self._code not in {results.RESULT_SUCCESS, results.RESULT_SIZE_LIMIT_EXCEEDED}:
            raise ProviderUnavailable(reason="ldap-search", code=self._code)
        found = [one for one in self._connection.response if one["type"] == "searchResEntry"]
        complete = self._code == results.RESULT_SUCCESS and len(found) <= at_most
        return Found(tuple(map(_entry, found[:at_most])), complete)

    @property
    def _code(self) -> int:
        """The result of the last operation (RFC 4511 appendix A)."""
        return int(self._connection.result["result"])

    @contextmanager
    def _step(self) -> Generator[None, None, None]:
        """Do one operation in the time that is left; what the library raises becomes ProviderUnavailable."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise ProviderUnavailable(reason="ldap-timeout")
        if self._connection.socket is not None:
            if self._connection.closed:  # a bind would open it again, and without TLS
                raise ProviderUnavailable(reason="ldap-connection")
            self._connection.socket.settimeout(left)
        try:
            yield
        except Exception as error:
            reason = "ldap-tls" if self._trust.failed else "ldap-connection"
            raise ProviderUnavailable(reason=reason) from error

    def _close(self) -> None:
        opened = self._connection.socket
        with suppress(Exception):
            self._connection.unbind()
        if opened is not None:
            opened.close()  # also one that the library takes for closed, since opening it failed


class _Trust(ldap3.Tls):  # type: ignore[misc]  # the library has no types
    """TLS with names checked by the standard library, which ldap3 itself leaves out."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context: Final = context
        self.failed = False

    @override
    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        self.failed = True
        assert self._context is not None
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a bind waits 40 ms
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)
        self.failed = False


def _entry(found: Mapping[str, Any]) -> LdapEntry:
    attributes = {name.lower(): list(values) for name, values in found["raw_attributes"].items()}
    return LdapEntry(str(found["dn"]), attributes)
