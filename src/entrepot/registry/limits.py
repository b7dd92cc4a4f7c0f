"""Numbers that the uses need, handed in from the settings."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How uploads live: byte counts, and durations.

    ``retry_window`` is how long a finished session answers its closing request again; ``lease`` how long content
    without a reference stays.
    """

    session_lifetime: timedelta
    sessions_at_most: int
    retry_window: timedelta
    lease: timedelta
    checkpoint_bytes: int
    checkpoint_interval: timedelta
    blob_bytes_at_most: int
