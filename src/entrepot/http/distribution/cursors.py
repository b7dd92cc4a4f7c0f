"""Places in a list that are told to clients who may not know what stands there."""

import base64

from entrepot.access import KeySet, SealInvalid
from entrepot.oci import PaginationInvalid

_PURPOSE = "catalog position"


class Cursors:
    """Seals names under the replicas' keys, so that a page can end at a repository that its reader may not see."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def seal(self, name: str) -> str:
        """A text for a query."""
        return base64.urlsafe_b64encode(self._keys.seal(name.encode(), purpose=_PURPOSE)).decode("ascii")

    def open(self, position: str) -> str:
        """The name that was sealed; raises PaginationInvalid for what was not."""
        try:
            return self._keys.unseal(base64.urlsafe_b64decode(position), purpose=_PURPOSE).decode()
        except (ValueError, SealInvalid):
            raise PaginationInvalid(reason="position") from None
