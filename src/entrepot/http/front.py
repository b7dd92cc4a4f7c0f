"""What every request passes before it reaches a handler, in order."""

from starlette.types import ASGIApp

from entrepot.http.bodies import PacedBodies
from entrepot.http.errors import ErrorAnswers
from entrepot.http.limits import Limits
from entrepot.http.metrics import Metrics
from entrepot.http.observation import Observed
from entrepot.http.proxies import TrustedProxies


def front(app: ASGIApp, *, limits: Limits, metrics: Metrics, proxies: TrustedProxies) -> ASGIApp:
    """The application with observation outermost, then error answers, then the minimum rate of bodies."""
    return Observed(ErrorAnswers(PacedBodies(app, limits)), metrics=metrics, proxies=proxies)
