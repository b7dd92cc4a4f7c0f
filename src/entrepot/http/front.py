"""What every request passes before it reaches a handler, in order."""

from datetime import timedelta

from starlette.types import ASGIApp

from entrepot.access import Trail
from entrepot.http.bodies import PacedBodies
from entrepot.http.errors import ErrorAnswers
from entrepot.http.limits import Limits
from entrepot.http.metrics import Metrics
from entrepot.http.observation import Observed
from entrepot.http.protection import Protected
from entrepot.http.proxies import TrustedProxies
from entrepot.http.refusals import RememberedRefusals


def front(
    app: ASGIApp,
    *,
    limits: Limits,
    metrics: Metrics,
    proxies: TrustedProxies,
    hsts: timedelta = timedelta(0),
    trail: Trail | None = None,
) -> ASGIApp:
    """The application with observation outermost, then security headers, error answers, the minimum rate of bodies.

    ``hsts`` is for how long browsers are told to come back over TLS only, ``trail`` where refusals are recorded.
    """
    answering: ASGIApp = Protected(ErrorAnswers(PacedBodies(app, limits)), hsts)
    if trail is not None:
        answering = RememberedRefusals(answering, trail)
    return Observed(answering, metrics=metrics, proxies=proxies)
