"""People of an LDAP directory or Active Directory: search for the name, then bind with the password."""

import asyncio
import logging
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from entrepot.access.port import Clock
from entrepot.access.providers.circuit import Circuit
from entrepot.access.providers.errors import IdentityRefused, ProviderUnavailable
from entrepot.access.providers.identity import GROUPS_AT_MOST, NAME_CHARACTERS_AT_MOST, ExternalIdentity
from entrepot.access.providers.ldap_filters import DN, USERNAME, check_filter, filled, is_below, parsed_dn
from entrepot.access.providers.ldap_session import LdapEntry, LdapServer, LdapSession
from entrepot.oci import TooManyRequests
from entrepot.secrets import Secret

TIMEOUT: Final = timedelta(seconds=5)
PASSWORD_BYTES_AT_MOST: Final = 1024
THREADS: Final = 8
IN_HAND_AT_MOST: Final = 128  # logins under way and waiting

_PORTS = {"ldap": 389, "ldaps": 636}
_NOBODY = "cn=nobody"
_UNIQUE_IDS = ("entryuuid", "objectguid")  # RFC 4530; Active Directory

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LdapAccess:
    """A directory and how people are found in it.

    ``url`` is ``ldap://HOST[:PORT]``, protected by StartTLS unless ``start_tls`` is false, or ``ldaps://HOST[:PORT]``;
    ``ca`` replaces the system's authorities. The search is made as ``bind_dn``, anonymously when that is empty.
    ``user_filter`` has ``{username}`` where the name goes, ``group_filter`` ``{dn}`` or ``{username}``; without
    ``group_filter`` the groups are those of the entry's ``memberOf``. Only groups below ``group_base_dn``, else
    ``base_dn``, count; they are called by their ``group_attribute``, or by their whole name if that is ``dn``.
    ``timeout`` is for a login altogether.
    """

    url: str
    base_dn: str
    bind_dn: str = ""
    bind_password: Secret | None = None
    user_filter: str = "(uid={username})"
    name_attribute: str = "uid"
    start_tls: bool = True
    ca: Path | None = None
    group_base_dn: str | None = None
    group_filter: str | None = None
    group_attribute: str = "cn"
    timeout: timedelta = TIMEOUT


class LdapDirectory:
    """Verifies names and passwords against a directory, on a few threads of its own."""

    def __init__(self, access: LdapAccess, *, clock: Clock = time.monotonic, threads: int = THREADS) -> None:
        """Raises ValueError for a URL, filter or name that is none, OSError for authorities that cannot be read."""
        check_filter(access.user_filter, USERNAME)
        if access.group_filter is not None:
            check_filter(access.group_filter, DN, USERNAME)
        self._access = access
        self._group_base = parsed_dn(access.group_base_dn or access.base_dn)
        self._server = _server(access)
        self._issuer = f"ldap:{access.base_dn.lower()}"
        self._clock = clock
        self._circuit = Circuit(clock=clock)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="ldap")
        self._places = threading.BoundedSemaphore(IN_HAND_AT_MOST)

    async def verify(self, name: str, password: Secret) -> ExternalIdentity | None:
        """Who has this name and password; None for a wrong password and an unknown name alike, and for two of one name.

        Raises IdentityRefused, TooManyRequests when too many logins wait, ProviderUnavailable with the reasons
        ``ldap-connection``, ``ldap-tls``, ``ldap-timeout``, ``ldap-credentials`` (of ``bind_dn``), ``ldap-bind``,
        ``ldap-search`` and ``ldap-closed``.
        """
        if not _may_be_a_name(name) or not _may_be_a_password(password):
            return None
        self._circuit.look()
        answer = self._submit(lambda: self._verify(name, password))
        try:
            async with asyncio.timeout(2 * self._server.timeout.total_seconds()):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            self._failed("ldap-timeout", None)
            raise ProviderUnavailable(reason="ldap-timeout") from None

    async def close(self) -> None:
        """Begin no further login; one that is under way ends by its timeout."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], ExternalIdentity | None]) -> "Future[ExternalIdentity | None]":
        if not self._places.acquire(blocking=False):
            raise TooManyRequests(reason="logins")
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            self._places.release()
            raise ProviderUnavailable(reason="ldap-closed") from None
        future.add_done_callback(lambda _: self._places.release())
        return future

    def _verify(self, name: str, password: Secret) -> ExternalIdentity | None:
        """Log in on this thread."""
        self._circuit.check()
        try:
            with LdapSession(self._server, self._clock) as session:
                identity = self._log_in(session, name, password)
        except ProviderUnavailable as error:
            self._failed(str(error.detail["reason"]), error.__cause__)
            raise
        except IdentityRefused:
            self._circuit.succeeded()
            raise
        self._circuit.succeeded()
        return identity

    def _log_in(self, session: LdapSession, name: str, password: Secret) -> ExternalIdentity | None:
        self._bind_for_search(session)
        entry = self._find(session, name)
        if entry is None:
            session.bind(f"{_NOBODY},{self._access.base_dn}", password)  # as many steps as for a known name
            return None
        if not session.bind(entry.dn, password):
            return None
        return ExternalIdentity(
            self._issuer, _subject(entry), self._name(entry), frozenset(self._groups(session, entry, name))
        )

    def _bind_for_search(self, session: LdapSession) -> None:
        access = self._access
        if access.bind_dn and not session.bind(access.bind_dn, access.bind_password or Secret("")):
            raise ProviderUnavailable(reason="ldap-credentials")

    def _find(self, session: LdapSession, name: str) -> LdapEntry | None:
        """The one entry that the name means; None for none, and for several, of which none is anybody's choice."""
        wanted = [self._access.name_attribute, "memberOf", *_UNIQUE_IDS]
        found = session.search(self._access.base_dn, filled(self._access.user_filter, username=name), wanted, 2)
        if len(found.entries) > 1 or not found.complete:
            logger.warning("ldap.user_filter finds more than one entry for %r: nobody is let in", name)
            return None
        return found.entries[0] if found.entries else None

    def _name(self, entry: LdapEntry) -> str:
        values = entry.attributes.get(self._access.name_attribute.lower(), [])
        if len(values) != 1:
            raise IdentityRefused(reason="name")
        return _text(values[0], "name")

    def _groups(self, session: LdapSession, entry: LdapEntry, name: str) -> list[str]:
        if self._access.group_filter is None:
            return self._groups_of_entry(entry)
        self._bind_for_search(session)
        attribute = self._access.group_attribute
        found = session.search(
            self._access.group_base_dn or self._access.base_dn,
            filled(self._access.group_filter, username=name, dn=entry.dn),
            [] if attribute == "dn" else [attribute],
            GROUPS_AT_MOST,
        )
        if not found.complete:
            raise IdentityRefused(reason="groups", groups_at_most=GROUPS_AT_MOST)
        if attribute == "dn":
            return [group.dn for group in found.entries]
        return [_text(one, "group") for group in found.entries for one in group.attributes.get(attribute.lower(), [])]

    def _groups_of_entry(self, entry: LdapEntry) -> list[str]:
        """The groups in ``memberOf``, of those below the base; a value by ranges means that there are too many."""
        names = entry.attributes.get("memberof", [])
        if len(names) > GROUPS_AT_MOST or any(key.startswith("memberof;range=") for key in entry.attributes):
            raise IdentityRefused(reason="groups", groups_at_most=GROUPS_AT_MOST)
        groups: list[str] = []
        for dn in (_text(name, "group") for name in names):
            try:
                parts = parsed_dn(dn)
            except ValueError:
                continue
            if is_below(parts, self._group_base):
                groups += self._called(dn, parts[0])
        return groups

    def _called(self, dn: str, nearest: frozenset[tuple[str, str]]) -> list[str]:
        attribute = self._access.group_attribute.lower()
        return [dn] if attribute == "dn" else [value for kind, value in nearest if kind == attribute]

    def _failed(self, reason: str, cause: BaseException | None) -> None:
        more = "" if cause is None else f" ({type(cause).__name__}: {cause})"
        logger.warning(
            "the directory at %s:%d does not answer: %s%s", self._server.host, self._server.port, reason, more
        )
        self._circuit.failed(reason)


def _server(access: LdapAccess) -> LdapServer:
    parts = urlsplit(access.url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or parts.path.strip("/") or parts.query:
        message = "wants ldap://HOST[:PORT] or ldaps://HOST[:PORT]"
        raise ValueError(message)
    start_tls = parts.scheme == "ldap" and access.start_tls
    trust = ssl.create_default_context(cafile=access.ca) if start_tls or parts.scheme == "ldaps" else None
    return LdapServer(parts.hostname, parts.port or _PORTS[parts.scheme], trust, start_tls, access.timeout)


def _may_be_a_name(name: str) -> bool:
    """Whether to ask for it at all."""
    return 0 < len(name) <= NAME_CHARACTERS_AT_MOST and name.isprintable()


def _may_be_a_password(password: Secret) -> bool:
    """Whether to send it: an empty one would ask for an unauthenticated bind (RFC 4513 section 5.1.2)."""
    try:
        content = password.reveal().encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(content) <= PASSWORD_BYTES_AT_MOST and b"\0" not in content


def _subject(entry: LdapEntry) -> str:
    """What stays the same when somebody is renamed or moved: the entry's UUID, and its name only where it has none."""
    for attribute in _UNIQUE_IDS:
        values = entry.attributes.get(attribute, [])
        if len(values) == 1:
            return str(uuid.UUID(bytes_le=values[0])) if attribute == "objectguid" else _text(values[0], "subject")
    return entry.dn


def _text(value: bytes, reason: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise IdentityRefused(reason=reason) from None
