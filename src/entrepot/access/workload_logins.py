"""Robots for which the token of a job or pod stands: no secret is stored for them."""

from dataclasses import dataclass

from entrepot.access.principals import Principal
from entrepot.access.providers import WorkloadIdentity, WorkloadIssuers, conditions_hold
from entrepot.access.stored_credentials import check_account, principal_of
from entrepot.metadata import AccountRow, Actor, Database, Transaction, list_trusts, record_audit
from entrepot.oci import RequestInvalid, Unauthorized
from entrepot.secrets import Secret


@dataclass(frozen=True, slots=True)
class WorkloadLogins:
    """Logs workloads in as the robots that trust them."""

    database: Database
    issuers: WorkloadIssuers

    async def __call__(self, token: Secret, robot: str | None) -> Principal:
        """The robot for which the token stands: the one of that name, or the only one.

        Raises Unauthorized with the reasons of WorkloadIssuers, ``trust`` where no robot trusts it and ``disabled`` or
        ``expired`` for the robot; RequestInvalid, reason ``robot``, where several do and none was named.
        """
        identity = await self.issuers.verify(token.reveal())
        return await self.database.write(lambda tx: _log_in(tx, identity, robot))


def _log_in(tx: Transaction, identity: WorkloadIdentity, robot: str | None) -> Principal:
    account = _robot(tx, identity, robot)
    check_account(account, tx.now)
    principal = principal_of(account)
    detail = {"way": "workload", "issuer": identity.issuer, "subject": identity.subject}
    record_audit(tx, Actor(principal.kind.value, principal.id, principal.name), "login", "", "", detail)
    return principal


def _robot(tx: Transaction, identity: WorkloadIdentity, robot: str | None) -> AccountRow:
    trusting = {
        trust.account.uid: trust.account
        for trust in list_trusts(tx, identity.issuer)
        if robot in {None, trust.account.name} and conditions_hold(trust.conditions, identity.claims)
    }
    if not trusting:
        raise Unauthorized(reason="trust")
    if len(trusting) > 1:
        raise RequestInvalid(reason="robot")
    return next(iter(trusting.values()))
