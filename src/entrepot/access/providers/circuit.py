"""A short memory of a failure, so that what is down is not waited for by everyone."""

import time
from datetime import timedelta
from typing import Final

from entrepot.access.port import Clock
from entrepot.access.providers.errors import ProviderUnavailable

PAUSE: Final = timedelta(seconds=5)


class Circuit:
    """After a failure nobody asks again for ``pause``; then one caller tries, and the others wait a pause more.

    Its calls are short and need no lock: what threads can lose by running into one another is one try too many.
    """

    def __init__(self, pause: timedelta = PAUSE, clock: Clock = time.monotonic) -> None:
        self._pause = pause.total_seconds()
        self._clock = clock
        self._reason: str | None = None
        self._until = 0.0

    def look(self) -> None:
        """Raise ProviderUnavailable with the last failure's reason while nobody is to ask."""
        if self._reason is not None and self._clock() < self._until:
            raise ProviderUnavailable(reason=self._reason)

    def check(self) -> None:
        """Look, and be the one who tries when the pause is over; for whoever asks at once."""
        self.look()
        if self._reason is not None:
            self._until = self._clock() + self._pause

    def failed(self, reason: str) -> None:
        """Remember that what was asked did not answer."""
        self._reason = reason
        self._until = self._clock() + self._pause

    def succeeded(self) -> None:
        """Forget failures: it answers."""
        self._reason = None
