"""Logins as docker, podman and this client have stored them, in the order in which all of them look."""

import asyncio
from collections.abc import Sequence

from entrepot.client.credentials import AnyCredentials
from entrepot.client.logins.auth_files import AuthFile, read_auth_file, read_auth_text
from entrepot.client.logins.places import AuthPlaces
from entrepot.client.logins.programs import PREFIX, CredentialProgram


class StoredCredentials:
    """Implements CredentialSource over files and the programs that they name; each file is read once."""

    def __init__(self, places: AuthPlaces) -> None:
        self._places = places
        self._files: list[AuthFile] | None = None
        self._answers: dict[tuple[str, str], AnyCredentials | None] = {}
        self._lock = asyncio.Lock()

    async def find(self, host: str, repository: str) -> AnyCredentials | None:
        """The first that is known: of the variable, then file after file; a file's program before its entries."""
        async with self._lock:
            for file in self._read():
                program = file.program_for(host)
                found = None if program is None else await self._asked(CredentialProgram(program, file.name), host)
                found = found or file.entry_for(host, repository)
                if found is not None:
                    return found
        return None

    def places(self, host: str) -> Sequence[str]:
        """The variable, every file, and the programs for this registry."""
        named = [f"{PREFIX}{file.program_for(host)}" for file in self._files or () if file.program_for(host)]
        return ["DOCKER_AUTH_CONFIG", *map(str, self._places.read), *named]

    def _read(self) -> list[AuthFile]:
        if self._files is None:
            found = [read_auth_file(path) for path in self._places.read]
            self._files = [file for file in found if file is not None]
            if self._places.text is not None:
                self._files.insert(0, read_auth_text(self._places.text.encode(), "DOCKER_AUTH_CONFIG"))
        return self._files

    async def _asked(self, program: CredentialProgram, host: str) -> AnyCredentials | None:
        key = (program.name, host)
        if key not in self._answers:
            self._answers[key] = await program.get(host)
        return self._answers[key]
