"""What a client can show a registry to say who it is, and where it looks for that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from entrepot.secrets import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and its password, or a token in a password's place."""

    username: str
    password: Secret
    found_in: str = ""
    """Where they come from, for messages: a file, a variable, a credential store with its name."""


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A refresh token: the registry's token service exchanges it for access tokens (``grant_type=refresh_token``)."""

    token: Secret
    found_in: str = ""


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """An access token that is sent to the registry as it is, without asking a token service."""

    token: Secret
    found_in: str = ""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody: what else is configured is not used."""

    found_in: str = ""


AnyCredentials: TypeAlias = Credentials | IdentityToken | RegistryToken | Anonymous


class CredentialSource(Protocol):
    """Where credentials are found: a configuration file, a credential store, the command line."""

    async def find(self, host: str, repository: str) -> AnyCredentials | None:
        """What is to be shown to ``host`` for ``repository``; None if nothing is known here.

        ``host`` is the registry as references name it, ``host[:port]``, ``docker.io`` for Docker Hub; ``repository`` is
        the name without the host, "" for what is about the whole registry. It is called once for each pair and process.
        Raises ClientError when a place is there and cannot be read.
        """
        ...

    def places(self, host: str) -> Sequence[str]:
        """Where it looks for this host, in order, for the message that nothing was found."""
        ...


@dataclass(frozen=True, slots=True)
class GivenCredentials:
    """The same credentials for one registry, as the command line or a program gives them."""

    credentials: AnyCredentials
    host: str | None = None
    """The registry that they are for; None for every one."""

    async def find(self, host: str, repository: str) -> AnyCredentials | None:
        """The credentials, if they are for this host."""
        del repository
        return self.credentials if self.host in {None, host} else None

    def places(self, host: str) -> Sequence[str]:
        """Where they come from."""
        return [self.credentials.found_in] if self.host in {None, host} and self.credentials.found_in else []


@dataclass(frozen=True, slots=True)
class FirstCredentials:
    """Several sources; the first that knows something is believed."""

    sources: tuple[CredentialSource, ...]

    async def find(self, host: str, repository: str) -> AnyCredentials | None:
        """What the first source knows."""
        for source in self.sources:
            found = await source.find(host, repository)
            if found is not None:
                return found
        return None

    def places(self, host: str) -> Sequence[str]:
        """The places of all of them."""
        return [place for source in self.sources for place in source.places(host)]
