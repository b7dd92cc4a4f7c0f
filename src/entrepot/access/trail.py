"""What is remembered of logins and refusals, in memory first, so that a request writes nothing for it."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from entrepot.access.lru import Recent
from entrepot.access.port import Clock
from entrepot.access.principals import Caller, PrincipalKind
from entrepot.metadata import (
    Actor,
    CredentialUse,
    Database,
    NewAuditRow,
    Transaction,
    add_audit_rows,
    known_accounts,
    note_logins,
    note_uses,
)

INTERVAL: Final = timedelta(seconds=15)  # what a crash may forget
LOGINS_EVERY: Final = timedelta(hours=1)  # of the same account, address and way one row
WAITING_AT_MOST: Final = 2000  # different logins and different refusals that wait, each; further refusals are one row

_UNKNOWN: Final = Actor("unknown", "", "")
_SECONDS_OF_A_MINUTE: Final = 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused.

    ``principal`` is who asked, as far as that is certain; ``claimed`` is the name that was given with credentials that
    do not hold, which counts only where an account has it: people type passwords into the wrong field. ``action`` is
    the method and the route, ``detail`` the reason and the right that is missing.
    """

    principal: Actor | None
    claimed: str
    address: str
    action: str
    repository: str
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Minute:
    """Refusals that are told together: of one subject, address and action within a minute."""

    began: int
    subject: tuple[str, str, str]
    claimed: str
    address: str
    action: str


@dataclass(slots=True)
class _Refusals:
    """How often it was refused, and what the first one was about."""

    first: Refused
    times: int = 1


@dataclass(slots=True)
class _Waiting:
    """What is to be written."""

    logins: list[NewAuditRow] = field(default_factory=list)
    refusals: dict[_Minute, _Refusals] = field(default_factory=dict)
    others: int = 0
    uses: dict[str, CredentialUse] = field(default_factory=dict)


class Trail:
    """Logins, refusals and uses of credentials of this process, written in batches every 15 seconds and at the end.

    Of one account, address and way to log in there is one login an hour, for clients log in with every request; of one
    subject, address and action one refusal a minute, with how often. Belongs to one event loop. What the database does
    not take is kept for the next time, as much as has room.
    """

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock
        self._waiting = _Waiting()
        self._lately: Recent[tuple[str, str, str, str], float] = Recent(WAITING_AT_MOST)
        self._used: Recent[str, float] = Recent(WAITING_AT_MOST)

    def came(self, caller: Caller, way: str, address: str) -> None:
        """Note that somebody has shown credentials that hold; ``way`` says what kind of login it was."""
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            return
        self.used(caller, address)
        now = self._clock()
        key = (caller.principal.id, caller.credential, way, address)
        last = self._lately.get(key)
        if last is not None and now - last < LOGINS_EVERY.total_seconds():
            return
        if len(self._waiting.logins) < WAITING_AT_MOST:
            self._lately.put(key, now)
            actor = replace(caller.principal.actor, address=address, credential=caller.credential)
            self._waiting.logins.append(NewAuditRow(_instant(now), actor, "login", "", "", "done", 1, {"way": way}))

    def used(self, caller: Caller, address: str) -> None:
        """Note that a credential was used, or a token that was made with it; once a minute is enough."""
        if not caller.credential:
            return
        now = self._clock()
        last = self._used.get(caller.credential)
        if last is None or now - last >= _SECONDS_OF_A_MINUTE:
            self._used.put(caller.credential, now)
            self._waiting.uses[caller.credential] = CredentialUse(caller.credential, _instant(now), address)

    def refused(self, refused: Refused) -> None:
        """Note a refusal."""
        subject = refused.principal or _UNKNOWN
        key = _Minute(
            int(self._clock()) // _SECONDS_OF_A_MINUTE,
            (subject.kind, subject.id, subject.name),
            refused.claimed,
            refused.address,
            refused.action,
        )
        known = self._waiting.refusals.get(key)
        if known is not None:
            known.times += 1
        elif len(self._waiting.refusals) < WAITING_AT_MOST:
            self._waiting.refusals[key] = _Refusals(refused)
        else:
            self._waiting.others += 1

    async def keep_writing(self) -> None:
        """Write what was noted, again and again, until cancelled; refusals once their minute is over."""
        while True:
            await asyncio.sleep(INTERVAL.total_seconds())
            await self.write(int(self._clock()) // _SECONDS_OF_A_MINUTE)

    async def close(self) -> None:
        """Write all that there is."""
        await self.write(None)

    async def write(self, before: int | None) -> None:
        """Write logins, uses, and the refusals of minutes before ``before``, None for all."""
        waiting, self._waiting = self._waiting, _Waiting()
        over = {key: found for key, found in waiting.refusals.items() if before is None or key.began < before}
        self._waiting.refusals = {key: found for key, found in waiting.refusals.items() if key not in over}
        if not (waiting.logins or over or waiting.others or waiting.uses):
            return

        def unit(tx: Transaction) -> None:
            rows = [*waiting.logins, *_rows(tx, over), *_others(waiting.others)]
            if rows:
                add_audit_rows(tx, rows)
            note_uses(tx, list(waiting.uses.values()))
            note_logins(tx, [row.actor.id for row in waiting.logins])

        try:
            await self._database.write(unit)
        except Exception as failure:
            logger.warning("logins and refusals are not recorded yet", exc_info=failure)
            self._take_back(waiting, over)
        except BaseException:
            self._take_back(waiting, over)  # for the last write, when this one is cancelled
            raise

    def _take_back(self, waiting: _Waiting, over: Mapping[_Minute, _Refusals]) -> None:
        self._waiting.logins = [*waiting.logins, *self._waiting.logins][:WAITING_AT_MOST]
        self._waiting.uses = {**waiting.uses, **self._waiting.uses}
        self._waiting.others += waiting.others
        for key, found in over.items():
            if len(self._waiting.refusals) < WAITING_AT_MOST:
                self._waiting.refusals[key] = found
            else:
                self._waiting.others += found.times


def _rows(tx: Transaction, refusals: Mapping[_Minute, _Refusals]) -> Iterable[NewAuditRow]:
    claimed = sorted({key.claimed for key in refusals if key.claimed})
    known = known_accounts(tx, claimed) if claimed else {}
    for key, found in refusals.items():
        subject = Actor(*key.subject) if any(key.subject[1:]) else known.get(key.claimed, Actor(*key.subject))
        yield NewAuditRow(
            _instant(key.began * _SECONDS_OF_A_MINUTE),
            replace(subject, address=key.address),
            key.action,
            found.first.repository,
            "",
            "refused",
            found.times,
            dict(found.first.detail),
        )


def _others(times: int) -> Iterable[NewAuditRow]:
    if times:
        yield NewAuditRow(None, _UNKNOWN, "requests", "", "", "refused", times, {"reason": "too-many-to-tell-apart"})


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
