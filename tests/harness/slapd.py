"""An LDAP directory (OpenLDAP's slapd) of the tests' own, on 127.0.0.1: plain, with StartTLS, and over TLS."""

import contextlib
import ssl
import subprocess
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ldap3
import ldap3.utils.dn
import pytest

from harness.certificates import Certificates, make_certificates
from harness.ports import free_port, wait_until
from harness.programs import find_program

BASE_DN = "dc=example,dc=com"
PEOPLE_DN = f"ou=people,{BASE_DN}"
GROUPS_DN = f"ou=groups,{BASE_DN}"
MANAGER_DN = f"cn=manager,{BASE_DN}"
MANAGER_PASSWORD = "manages-the-tree"
SEARCH_DN = f"cn=searcher,{BASE_DN}"
SEARCH_PASSWORD = "may-only-search"

ATTEMPTS = 3
SECONDS_AT_MOST = 20.0

# "allow" makes binds with an empty password or an empty name succeed, as they do on Active Directory.
_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/pid
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
allow bind_anon_cred bind_anon_dn
database mdb
maxsize 67108864
suffix "{base}"
rootdn "{manager}"
rootpw {password}
directory {folder}/data
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{searcher}" read by * none
"""


@dataclass(frozen=True)
class Slapd:
    """A running directory with an account for searches, ``PEOPLE_DN`` and ``GROUPS_DN``; tests add their own people."""

    port: int
    tls_port: int
    certificates: Certificates
    _process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        """Where it answers without TLS, or with StartTLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it answers over TLS."""
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def add_person(self, name: str, password: str, *, rdn: str | None = None, **attributes: Any) -> str:
        """Add a person with a ``uid``, whose name in the tree is by ``cn`` (``rdn`` without one), and return its DN."""
        dn = f"cn={ldap3.utils.dn.escape_rdn(rdn or name)},{PEOPLE_DN}"
        self.add(dn, "inetOrgPerson", cn=rdn or name, sn=name, uid=name, userPassword=password, **attributes)
        return dn

    def add_group(self, name: str, *members: str, under: str = GROUPS_DN) -> str:
        """Add a group of these DNs and return its own; ``memberOf`` of the members follows."""
        dn = f"cn={ldap3.utils.dn.escape_rdn(name)},{under}"
        self.add(dn, "groupOfNames", cn=name, member=list(members))
        return dn

    def add(self, dn: str, object_class: str, **attributes: Any) -> None:
        """Add an entry."""
        with self.manager() as manager:
            assert manager.add(dn, object_class, attributes), manager.result

    @contextlib.contextmanager
    def manager(self) -> Generator[Any, None, None]:
        """A connection of who may change everything."""
        server = ldap3.Server("127.0.0.1", port=self.port, get_info=ldap3.NONE)
        connection = ldap3.Connection(server, MANAGER_DN, MANAGER_PASSWORD, auto_bind=True)
        try:
            yield connection
        finally:
            connection.unbind()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running_slapd(folder: Path) -> Generator[Slapd, None, None]:
    """Start a directory with files in ``folder`` on free ports, and end it afterwards."""
    certificates = make_certificates(folder, "ldap.example.com")
    for attempt in range(1, ATTEMPTS + 1):
        server = _start(folder / f"attempt-{attempt}", certificates)
        if server is not None:
            break
    else:
        pytest.fail(f"slapd did not start; its files are in {folder}", pytrace=False)
    try:
        server.add(BASE_DN, "domain", dc="example")
        for unit in ("people", "groups"):
            server.add(f"ou={unit},{BASE_DN}", "organizationalUnit", ou=unit)
        server.add(SEARCH_DN, "person", cn="searcher", sn="searcher", userPassword=SEARCH_PASSWORD)
        yield server
    finally:
        server.stop()


def _start(folder: Path, certificates: Certificates) -> Slapd | None:
    """Start a directory on two free ports; None when it ended, perhaps since one of them was taken."""
    (folder / "data").mkdir(parents=True)
    configuration = folder / "slapd.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            authority=certificates.authority,
            certificate=certificates.certificate,
            key=certificates.key,
            base=BASE_DN,
            manager=MANAGER_DN,
            password=MANAGER_PASSWORD,
            searcher=SEARCH_DN,
        ),
        encoding="utf-8",
    )
    port, tls_port = free_port(), free_port()
    addresses = f"ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/"
    command = [
        str(find_program("slapd")),
        "-f",
        str(configuration),
        "-h",
        addresses,
        "-d",
        "0",
    ]  # -d: it stays in the foreground
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers_or_ended() -> bool:
        return process.poll() is not None or _answers(tls_port)

    wait_until(answers_or_ended, "slapd answers", seconds_at_most=SECONDS_AT_MOST)
    return Slapd(port, tls_port, certificates, process) if process.poll() is None else None


def _answers(port: int) -> bool:
    try:
        ssl.get_server_certificate(("127.0.0.1", port), timeout=1.0)
    except OSError:
        return False
    return True
