"""A listener's certificate, taken anew when its files change."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from entrepot.http.listen_errors import ListenError
from entrepot.http.metrics import Metrics
from entrepot.http.tls import TLS, Fingerprint, LoadedTLS

logger = logging.getLogger(__name__)

Replace: TypeAlias = Callable[[ssl.SSLContext], Awaitable[None]]
"""Lets every handshake from now on use a context; those that have begun go on as they are."""


class CertificateWatch:
    """Keeps a listener's certificate as its files are.

    Files that cannot be used, such as half of a new pair, change nothing: what was served is served on, the log says
    why, and they are read again when they change again.
    """

    def __init__(self, listener: str, tls: TLS, metrics: Metrics | None) -> None:
        """Read the files for the first time; raises ListenError when they cannot be used. Blocks."""
        self._listener = listener
        self._tls = tls
        self._metrics = metrics
        self._seen = tls.fingerprint()
        self.first = tls.load()
        self._show(self.first)

    async def keep(self, replace: Replace) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._tls.check_every.total_seconds())
            there = await asyncio.to_thread(self._tls.fingerprint)
            if there != self._seen:
                await self._take(there, replace)

    async def _take(self, there: Fingerprint, replace: Replace) -> None:
        try:
            loaded = await asyncio.to_thread(self._tls.load)
            if await asyncio.to_thread(self._tls.fingerprint) != there:
                return  # being written: what was read may be of two generations
            await replace(loaded.context)
        except (ListenError, OSError) as error:
            extra = {"listener": self._listener, "reason": str(error)}
            logger.warning("the changed certificate is of no use, the one before is kept", extra=extra)
            self._count(served=False)
        else:
            extra = {"listener": self._listener, "not_after": loaded.not_after.isoformat()}
            logger.info("a new certificate is served", extra=extra)
            self._count(served=True)
            self._show(loaded)
        self._seen = there

    def _count(self, *, served: bool) -> None:
        if self._metrics is not None:
            self._metrics.certificate_read(self._listener, served=served)

    def _show(self, loaded: LoadedTLS) -> None:
        if self._metrics is not None:
            self._metrics.certificate_ends(self._listener, loaded.not_after)
