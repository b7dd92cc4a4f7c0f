"""A bound on bytes per second, for all transfers of a client together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

_PIECES: Final = 8  # a second, so that a transfer neither stands still for long nor goes in bursts
_SMALLEST: Final = 4096  # bytes; smaller pieces cost more than they smooth


@dataclass
class RateLimit:
    """Lets so many bytes per second pass, both ways together; None lets everything pass."""

    per_second: int | None = None
    _free_at: float = field(default=0.0, init=False)

    async def over(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Pass chunks on no faster than is allowed, in smaller pieces where that is needed."""
        if self.per_second is None:
            async for chunk in chunks:
                yield chunk
            return
        piece = max(self.per_second // _PIECES, _SMALLEST)
        async for chunk in chunks:
            for start in range(0, len(chunk), piece):
                part = chunk[start : start + piece]
                await self._take(len(part), self.per_second)
                yield part

    async def _take(self, length: int, per_second: int) -> None:
        """Wait until these bytes may pass; who comes later waits longer."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at)
        self._free_at = begins + length / per_second
        if begins > now:
            await asyncio.sleep(begins - now)
