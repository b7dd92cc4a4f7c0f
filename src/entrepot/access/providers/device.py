"""What the device authorization grant says to who asks (RFC 8628)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from entrepot.secrets import Secret


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """A login that somebody completes in a browser elsewhere (section 3.2).

    ``user_code`` is typed at ``verification_uri``; ``verification_uri_complete`` has it in already. ``interval`` is the
    least time between two polls.
    """

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: timedelta
    interval: timedelta


class DeviceState(StrEnum):
    """Why a poll brought no identity (section 3.5)."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    """Pending; and from now on five seconds more between polls."""
    DENIED = "access_denied"
    EXPIRED = "expired_token"
