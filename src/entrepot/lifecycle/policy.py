"""For how long the collection leaves things alone."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """The collection's settings.

    ``review_after``: from the last event that concerns something to its review. ``delete_after``: from the end of a row
    to the deletion of its bytes; never below the longest read. ``lease``: for how long a client may rely on what it has
    just seen. ``keep_untagged``: manifests without tag or parent are never collected; else they are after
    ``untagged_after``, counted from when they lost their last reference, and ``pulled_within`` after their last pull.
    ``unknown_after``: how long objects stay that no row knows. ``session_lifetime``: how long an upload stays after its
    last progress, or a finished one for its last request to be answered again, whichever is longer.
    """

    review_after: timedelta
    delete_after: timedelta
    lease: timedelta
    keep_untagged: bool
    untagged_after: timedelta
    pulled_within: timedelta
    unknown_after: timedelta
    session_lifetime: timedelta

    @property
    def longest(self) -> timedelta:
        """The longest of these times: what was promised before it has passed by then."""
        return max(
            self.review_after,
            self.delete_after,
            self.lease,
            self.untagged_after,
            self.pulled_within,
            self.unknown_after,
            self.session_lifetime,
        )
