"""Who a client is by the certificate of its connection, where it says nothing else."""

from starlette.requests import Request

from entrepot.access import Caller, StoredCredentials
from entrepot.http.tls import VOUCHED_KEY


async def certified(request: Request, credentials: StoredCredentials) -> Caller | None:
    """The account that the connection's certificate names; None for a connection without one.

    Headers of a proxy say nothing here: the handshake is the registry's own, or there is no certificate. Raises
    Unauthorized for a certificate that names no account, or one that is disabled or over.
    """
    name: str | None = request.scope.get(VOUCHED_KEY)
    return None if name is None else await credentials.vouched(name)
