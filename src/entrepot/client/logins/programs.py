"""Programs that keep credentials: ``docker-credential-NAME`` (the credential helper protocol of docker)."""

import asyncio
import json
import re
import shutil
from dataclasses import dataclass
from typing import Any, Final

from entrepot.client.credentials import AnyCredentials, Credentials, IdentityToken
from entrepot.client.errors import CredentialStoreFailed
from entrepot.client.logins.auth_files import from_pair, server_url
from entrepot.secrets import Secret

PREFIX: Final = "docker-credential-"
NOT_FOUND: Final = "credentials not found in native keychain"
"""What a program says, with exit code 1, when it has nothing for a registry."""
IDENTITY_USER: Final = "<token>"
SECONDS_AT_MOST: Final = 120  # somebody may have to unlock something
ANSWER_BYTES_AT_MOST: Final = 256 * 1024

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CredentialProgram:
    """The program ``docker-credential-NAME``; ``named_in`` is the file or flag that names it."""

    name: str
    named_in: str

    async def get(self, host: str) -> AnyCredentials | None:
        """What it keeps for a registry, None if nothing; raises CredentialStoreFailed, which shows no secret."""
        answer = await self._run("get", server_url(host).encode())
        if answer is None:
            return None
        username, secret = self._read(answer)
        return from_pair(username, Secret(secret), f"{PREFIX}{self.name}")

    async def store(self, host: str, credentials: Credentials | IdentityToken) -> None:
        """Keep credentials for a registry; raises CredentialStoreFailed."""
        if isinstance(credentials, IdentityToken):
            username, secret = IDENTITY_USER, credentials.token
        else:
            username, secret = credentials.username, credentials.password
        document = {"ServerURL": server_url(host), "Username": username, "Secret": secret.reveal()}
        await self._run("store", json.dumps(document).encode())

    async def erase(self, host: str) -> bool:
        """Forget a registry's; says whether there was something. Raises CredentialStoreFailed."""
        if await self.get(host) is None:
            return False
        return await self._run("erase", server_url(host).encode()) is not None

    async def _run(self, action: str, content: bytes) -> bytes | None:
        """What it answers, None for its word that there is nothing."""
        program = self._found()
        try:
            async with asyncio.timeout(SECONDS_AT_MOST):
                code, said = await _answered(program, action, content)
        except TimeoutError as error:
            raise self._failed("silent", f"it did not end within {SECONDS_AT_MOST} s") from error
        except OSError as error:
            raise self._failed("start", "it cannot be started", error.strerror or str(error)) from error
        if code == 0:
            return said
        words = said.decode("utf-8", "replace").strip()
        if NOT_FOUND in words:
            return None
        raise self._failed("refused", f"{action} ended with exit code {code}", words)

    def _found(self) -> str:
        program = shutil.which(f"{PREFIX}{self.name}") if _NAME.fullmatch(self.name) else None
        if program is None:
            raise self._failed("missing", "there is no such program on the PATH")
        return program

    def _read(self, answer: bytes) -> tuple[str, str]:
        try:
            document: Any = json.loads(answer)
            username, secret = document["Username"], document["Secret"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            cause = "its answer is not the JSON of the protocol alone: does it, or a wrapper, write something else?"
            raise self._failed("noisy", cause) from error
        if not isinstance(username, str) or not isinstance(secret, str):
            raise self._failed("noisy", "its answer has a name or a secret that is no text")
        return username, secret

    def _failed(self, reason: str, cause: str, words: str = "") -> CredentialStoreFailed:
        return CredentialStoreFailed(
            f"{PREFIX}{self.name}",
            reason=reason,
            cause=cause,
            evidence=[words, f"named in {self.named_in}"],
            next_command="--anonymous goes without; or take the program out of the file, or repair it",
        )


async def _answered(program: str, action: str, content: bytes) -> tuple[int, bytes]:
    """Exit code and standard output of a program, which is killed when this is cancelled."""
    process = await asyncio.create_subprocess_exec(
        program, action, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=ANSWER_BYTES_AT_MOST
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(content)
        process.stdin.write_eof()
        said = await process.stdout.read(ANSWER_BYTES_AT_MOST)
        while len(said) < ANSWER_BYTES_AT_MOST and (more := await process.stdout.read(ANSWER_BYTES_AT_MOST)):
            said += more
        return await process.wait(), said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
