"""Storing logins where docker and podman find them too: in a program's keeping, or, if that is wished, in a file."""

import contextlib
import fcntl
import importlib.util
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from entrepot.client.credentials import AnyCredentials, Credentials, IdentityToken
from entrepot.client.errors import CredentialStoreFailed
from entrepot.client.logins.auth_files import (
    BYTES_AT_MOST,
    encoded,
    normalised,
    parse_document,
    read_auth_text,
    server_url,
)
from entrepot.client.logins.programs import PREFIX, CredentialProgram
from entrepot.client.state import write_private

OWN_PROGRAM: Final = "entrepot"
"""``docker-credential-entrepot`` keeps logins in the keyring of the desktop or the system."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a login is kept, as messages say it."""

    where: str
    is_plain: bool = False
    """Whether anybody who can read the file can read the secret."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Stores into, and removes from, the file ``path`` and the programs that it names."""

    path: Path
    program: str | None = None
    """The program to keep it, before those that the file names."""
    is_plain_allowed: bool = False

    async def keep(self, host: str, credentials: AnyCredentials) -> Kept:
        """Store the login of a registry in place of the one that is there.

        Raises CredentialStoreFailed: also where it could be kept in the file alone, which was not allowed.
        """
        program = self.program or self._named(host) or self._own()
        if program is not None and isinstance(credentials, Credentials | IdentityToken):
            await CredentialProgram(program, str(self.path)).store(host, credentials)
            self._change(host, {}, program)
            return Kept(f"{PREFIX}{program}")
        if not self.is_plain_allowed:
            raise CredentialStoreFailed(
                host,
                reason="no-store",
                cause="no program keeps credentials here, and a file would show the secret to whoever reads it",
                evidence=[f"{self.path} names no credsStore, and no keyring is installed"],
                next_command="--store NAME for docker-credential-NAME, or --allow-plaintext for the file",
            )
        self._change(host, encoded(credentials), None)
        return Kept(str(self.path), is_plain=True)

    async def forget(self, host: str) -> list[str]:
        """Remove what is stored for a registry, and for repositories of it; says where something was."""
        removed = []
        program = self._named(host)
        if program is not None and await CredentialProgram(program, str(self.path)).erase(host):
            removed.append(f"{PREFIX}{program}")
        if self._change(host, None, None):
            removed.append(str(self.path))
        return removed

    def hosts(self) -> list[str]:
        """The registries that the file knows."""
        document = self._document()
        keys = [*(document.get("auths") or {}), *(document.get("credHelpers") or {})]
        return sorted({normalised(key).partition("/")[0] for key in keys})

    def _named(self, host: str) -> str | None:
        content = json.dumps(self._document()).encode()
        return read_auth_text(content, str(self.path)).program_for(host)

    def _own(self) -> str | None:
        """Our own program, if it has a keyring to keep something in."""
        return OWN_PROGRAM if importlib.util.find_spec("keyring") is not None and _has_keyring() else None

    def _document(self) -> dict[str, Any]:
        with _named_errors(self.path):
            if not self.path.exists():
                return {}
            with self.path.open("rb") as file:
                return parse_document(file.read(BYTES_AT_MOST + 1), str(self.path))

    def _change(self, host: str, entry: dict[str, str] | None, program: str | None) -> bool:
        """Set or, for None, remove what the file says of a registry and nothing else; says whether it changed."""
        with _named_errors(self.path), _exclusive(self.path):
            document = self._document()
            before = json.dumps(document)
            auths = dict(document.get("auths") or {})
            programs = dict(document.get("credHelpers") or {})
            for key in [key for key in auths if normalised(key).partition("/")[0] == host]:
                if entry is None or normalised(key) == host:
                    del auths[key]
            if entry is None or program is not None:
                programs = {key: value for key, value in programs.items() if normalised(key) != host}
            if entry is not None:
                auths[server_url(host)] = entry
            if program is not None and program != document.get("credsStore"):
                programs[server_url(host)] = program
            changed = {**document, "auths": auths}
            if programs or "credHelpers" in document:
                changed["credHelpers"] = programs
            if json.dumps(changed) == before:
                return False
            # What the file points to is replaced, not the link.
            write_private(self.path.resolve(), json.dumps(changed, indent="\t").encode() + b"\n")
            return True


def _has_keyring() -> bool:
    """Whether there is a keyring that can be written to."""
    import keyring  # ruff: ignore[import-outside-top-level]  an extra, and slow to import

    return bool(keyring.get_keyring().priority >= 1)


@contextlib.contextmanager
def _named_errors(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        evidence = [error.strerror or str(error)]
        raise CredentialStoreFailed(str(path), reason="file", evidence=evidence) from error


@contextlib.contextmanager
def _exclusive(path: Path) -> Generator[None, None, None]:
    """Keep other processes of this client from changing the file meanwhile."""
    folder = path.resolve().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
