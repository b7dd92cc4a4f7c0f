"""What a client was promised by the answers that it saw, and what may be so because no answer came."""

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """The promises to one client; blobs, manifests and tags are keyed by repository and digest or tag.

    A tag may stand on any of several digests while the outcome of a request is not known; None stands for no tag.
    ``asked`` are manifests that were sent, whether or not they were answered.
    """

    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)
    gone_blobs: set[tuple[str, str]] = field(default_factory=set)
    gone_manifests: set[tuple[str, str]] = field(default_factory=set)
    tags: defaultdict[tuple[str, str], set[str | None]] = field(default_factory=lambda: defaultdict(lambda: {None}))

    @property
    def promises(self) -> int:
        """How many things must be there."""
        return len(self.blobs) + len(self.manifests) + sum(None not in digests for digests in self.tags.values())
