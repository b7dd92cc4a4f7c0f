"""What every request passes before it reaches a handler, in order."""

from datetime import timedelta

from starlette.types import ASGIApp

from entrepot.http.bodies import PacedBodies
from entrepot.http.errors import ErrorAnswers
from entrepot.http.limits import Limits
from entrepot.http.metrics import Metrics
from entrepot.http.observation import Observed
from entrepot.http.protection import Protected
from entrepot.http.proxies import TrustedProxies


def front(
    app: ASGIApp, *, limits: Limits, metrics: Metrics, proxies: TrustedProxies, hsts: timedelta = timedelta(0)
) -> ASGIApp:
    """The application with observation outermost, then security headers, error answers, the minimum rate of bodies.

    ``hsts`` is for how long browsers are told to come back over TLS only.
    """
    return Observed(Protected(ErrorAnswers(PacedBodies(app, limits)), hsts), metrics=metrics, proxies=proxies)
