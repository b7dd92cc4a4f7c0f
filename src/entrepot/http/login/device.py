"""``POST /auth/device``: a login that is completed in a browser elsewhere (RFC 8628 section 3.1)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrepot.access import DeviceLogins


async def start_device(logins: DeviceLogins, request: Request) -> Response:  # ruff: ignore[unused-function-argument]  handlers are called alike
    """Begin it; ``POST /token`` with the device code tells when it is complete."""
    begun = await logins.start()
    content: dict[str, str | int] = {
        "device_code": begun.device_code.reveal(),
        "user_code": begun.user_code,
        "verification_uri": begun.verification_uri,
        "expires_in": int(begun.expires_in.total_seconds()),
        "interval": int(begun.interval.total_seconds()),
    }
    if begun.verification_uri_complete is not None:
        content["verification_uri_complete"] = begun.verification_uri_complete
    return JSONResponse(content, headers={"Cache-Control": "no-store"})
