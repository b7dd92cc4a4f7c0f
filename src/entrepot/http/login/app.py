"""Which login answers under ``/auth/``."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import CodeLogins, DeviceLogins, LoginUnavailable
from entrepot.http.addresses import Addresses
from entrepot.http.errors import PathUnknown, in_oauth
from entrepot.http.login import browser
from entrepot.http.login.device import start_device
from entrepot.http.observation import observation_of
from entrepot.oci import MethodNotAllowed, RegistryError

_START: Final = "/auth/oidc/start"
_CALLBACK: Final = "/auth/oidc/callback"
_DEVICE: Final = "/auth/device"
_METHODS: Final = {_START: "GET", _CALLBACK: "GET", _DEVICE: "POST"}


@dataclass(frozen=True, slots=True)
class Login:
    """Logins at a provider; None where the settings name none."""

    codes: CodeLogins | None
    devices: DeviceLogins | None
    addresses: Addresses

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer; raises PathUnknown, MethodNotAllowed, LoginUnavailable and what the logins raise."""
        method = _METHODS.get(path)
        if method is None:
            raise PathUnknown
        observation_of(request).route = path
        if request.method != method:
            raise MethodNotAllowed(allow=[method])
        if self.codes is None or self.devices is None:
            raise LoginUnavailable(reason="oidc")
        if path == _START:
            return await browser.start(self.codes, self.addresses, request)
        if path == _CALLBACK:
            return await browser.callback(self.codes, self.addresses, request)
        try:
            return await start_device(self.devices, request)
        except RegistryError as error:
            raise in_oauth(error) from error.__cause__
