"""Places in a list that are told to clients who may not know what stands there."""

import base64

from entrepot.access import SealInvalid, seal, unseal
from entrepot.oci import PaginationInvalid

_PURPOSE = "catalog position"


class Cursors:
    """Seals names, so that a page can end at a repository that its reader may not see; ``key`` is the replicas' own."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, name: str) -> str:
        """A text for a query."""
        return base64.urlsafe_b64encode(seal(name.encode(), self._key, purpose=_PURPOSE)).decode("ascii")

    def open(self, position: str) -> str:
        """The name that was sealed; raises PaginationInvalid for what was not."""
        try:
            return unseal(base64.urlsafe_b64decode(position), self._key, purpose=_PURPOSE).decode()
        except (ValueError, SealInvalid):
            raise PaginationInvalid(reason="position") from None
