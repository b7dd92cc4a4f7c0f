"""How names become addresses, and to which of them a server may send a client."""

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from entrepot.client.addresses import is_inner


class InnerAddress(OSError):
    """A name that a server sent us to has an address that is not of the public internet."""


class FixedResolver(AbstractResolver):
    """Every name has this one address (``--resolve``)."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The address."""
        return [
            ResolveResult(
                hostname=host, host=self._address, port=port, family=self._family, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    @override
    async def close(self) -> None:
        """Nothing is held."""


class SystemResolver(AbstractResolver):
    """Names by the system, remembering those that have an address of the public internet."""

    def __init__(self, public: set[str]) -> None:
        self._system = aiohttp.ThreadedResolver()
        self._public = public

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses."""
        found = await self._system.resolve(host, port, family)
        if not all(is_inner(entry["host"]) for entry in found):
            self._public.add(host)
        return found

    @override
    async def close(self) -> None:
        """Nothing is held."""
        await self._system.close()


class OuterResolver(AbstractResolver):
    """Names by the system, refusing those with an address that is not of the public internet.

    What it returns is what is connected to, so a name cannot have another address a moment later.
    """

    def __init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses; raises InnerAddress."""
        found = await self._system.resolve(host, port, family)
        for entry in found:
            if is_inner(entry["host"]):
                message = f"{host} has the address {entry['host']}"
                raise InnerAddress(message)
        return found

    @override
    async def close(self) -> None:
        """Nothing is held."""
        await self._system.close()
