"""The audit: who did what, who logged in, and who was refused."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.metadata import AuditFilter, AuditRow, Database, Transaction, audit_page


@dataclass(frozen=True, slots=True)
class Audit:
    """Reads audit rows; raises Unavailable."""

    database: Database

    async def page(
        self, by: Authority, wanted: AuditFilter, before: int | None = None, at_most: int = PAGE
    ) -> list[AuditRow]:
        """Up to ``at_most`` rows, and a thousand, with numbers below ``before``, newest first; raises Denied."""

        def unit(tx: Transaction) -> list[AuditRow]:
            require_admin(tx, by)
            return audit_page(tx, wanted, before, min(at_most, PAGE))

        return await self.database.read(unit)
