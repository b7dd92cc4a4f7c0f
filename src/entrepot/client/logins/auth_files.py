"""Files with logins as docker writes them (``config.json``) and podman (``auth.json``, containers-auth.json(5)).

Both are one JSON object: ``auths`` has entries by registry, or by the beginning of a repository's name, ``credHelpers``
names programs by registry, ``credsStore`` one for all.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from entrepot.client.credentials import AnyCredentials, Credentials, IdentityToken, RegistryToken
from entrepot.client.errors import CredentialStoreFailed
from entrepot.client.references import DOCKER_HUB, HUB_NAMES
from entrepot.secrets import Secret

BYTES_AT_MOST: Final = 4 * 1024 * 1024
HUB_KEY: Final = "https://index.docker.io/v1/"
"""What docker calls Docker Hub in its files and towards programs."""

_API_ROOTS: Final = ("/v1", "/v2")
_NAMED_IDENTITY: Final = "<token>"  # the user name that says that the password is an identity token


@dataclass(frozen=True, slots=True)
class AuthFile:
    """What a file knows; ``name`` is the file, for messages."""

    name: str
    entries: Mapping[str, AnyCredentials] = field(default_factory=dict)
    """By ``host[:port]`` or ``host[:port]/name``; those without any secret are left out."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Names of programs by ``host[:port]``."""
    program: str | None = None
    """The program for every registry without one of its own."""

    def program_for(self, host: str) -> str | None:
        """The name of the program that keeps the login of a registry, None for none."""
        return self.programs.get(host, self.program)

    def entry_for(self, host: str, repository: str) -> AnyCredentials | None:
        """The entry whose key is the longest beginning of the repository's whole name."""
        whole = f"{host}/{repository}" if repository else host
        while whole:
            if whole in self.entries:
                return self.entries[whole]
            whole = whole.rpartition("/")[0]
        return None


def read_auth_file(path: Path) -> AuthFile | None:
    """Read a file, None where there is none; raises CredentialStoreFailed for one that cannot be used."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_AT_MOST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        evidence = [error.strerror or str(error)]
        raise CredentialStoreFailed(str(path), reason="unreadable", evidence=evidence) from error
    return read_auth_text(content, str(path))


def read_auth_text(content: bytes, name: str) -> AuthFile:
    """Read the content of such a file; raises CredentialStoreFailed that names the key that is wrong."""
    document = parse_document(content, name)
    # Before there was ``auths``, the whole file was what it is now.
    found = document.get("auths", {} if _is_config(document) else document)
    entries: dict[str, AnyCredentials] = {}
    for key, entry in _object(found, name, "auths").items():
        credentials = _credentials(entry, f"{name}: auths, {key}", found_in=f"{name}, {key}")
        if credentials is not None:
            entries.setdefault(normalised(key), credentials)
    programs = _object(document.get("credHelpers"), name, "credHelpers")
    return AuthFile(
        name,
        entries,
        {normalised(host): _text(program, name, "credHelpers") for host, program in programs.items()},
        _text(document.get("credsStore") or "", name, "credsStore") or None,
    )


def parse_document(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object of such a file, {} for an empty one; raises CredentialStoreFailed."""
    if len(content) > BYTES_AT_MOST:
        raise CredentialStoreFailed(name, reason="too-long", cause=f"it has more than {BYTES_AT_MOST} bytes")
    if not content.strip():
        return {}
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise CredentialStoreFailed(name, reason="json", cause="it is no JSON", evidence=[where]) from error
    return _object(document, name, "the whole file")


def normalised(key: str) -> str:
    """A key as ``host[:port]`` or ``host[:port]/name``: docker writes some with a scheme and the API's root."""
    scheme, separator, rest = key.partition("://")
    bare = (rest if separator else scheme).rstrip("/")
    host, slash, path = bare.partition("/")
    host = host.lower()
    if host in HUB_NAMES:
        host = DOCKER_HUB
    is_whole = bool(separator) or not slash or f"/{path}" in _API_ROOTS
    return host if is_whole else f"{host}/{path}"


def server_url(host: str) -> str:
    """A registry as docker calls it in its files and towards programs."""
    return HUB_KEY if host == DOCKER_HUB else host


def encoded(credentials: AnyCredentials) -> dict[str, str]:
    """The entry of a file for credentials."""
    if isinstance(credentials, IdentityToken):
        pair = base64.b64encode(f"{_NAMED_IDENTITY}:".encode()).decode("ascii")
        return {"auth": pair, "identitytoken": credentials.token.reveal()}
    if isinstance(credentials, RegistryToken):
        return {"registrytoken": credentials.token.reveal()}
    assert isinstance(credentials, Credentials)
    pair = f"{credentials.username}:{credentials.password.reveal()}"
    return {"auth": base64.b64encode(pair.encode()).decode("ascii")}


def from_pair(username: str, secret: Secret, found_in: str) -> AnyCredentials | None:
    """Credentials out of a name and a secret; None where both are empty, as some programs say that there is none."""
    if not username and not secret:
        return None
    if username == _NAMED_IDENTITY:
        return IdentityToken(secret, found_in)
    return Credentials(username, secret, found_in)


def _is_config(document: Mapping[str, Any]) -> bool:
    """Whether keys are settings and not registries: registries have a dot, a colon, or are localhost."""
    return not any("." in key or ":" in key or key == "localhost" for key in document)


def _credentials(entry: Any, name: str, *, found_in: str) -> AnyCredentials | None:
    entry = _object(entry, name, "the entry")
    if entry.get("identitytoken"):
        return IdentityToken(Secret(_text(entry["identitytoken"], name, "identitytoken")), found_in)
    if entry.get("registrytoken"):
        return RegistryToken(Secret(_text(entry["registrytoken"], name, "registrytoken")), found_in)
    if entry.get("auth"):
        username, password = _decoded(_text(entry["auth"], name, "auth"), name)
    else:
        username, password = (_text(entry.get(part) or "", name, part) for part in ("username", "password"))
    return from_pair(username, Secret(password), found_in)


def _decoded(text: str, name: str) -> tuple[str, str]:
    """Name and password of ``auth``; raises CredentialStoreFailed, and shows nothing of it."""
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        username, colon, password = "", "", ""
    if not colon:
        raise CredentialStoreFailed(name, reason="auth", cause="auth is not NAME:PASSWORD in base64")
    # docker fills up with these, and takes them off.
    return username, password.rstrip("\x00")


def _object(value: Any, name: str, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CredentialStoreFailed(name, reason="type", cause=f"{key} is no JSON object")
    return value


def _text(value: Any, name: str, key: str) -> str:
    if not isinstance(value, str):
        raise CredentialStoreFailed(name, reason="type", cause=f"{key} has something that is no text")
    return value
