"""Places in a list that are told to clients who may not know what stands there."""

import base64

from entrepot.access import KeySet, SealInvalid
from entrepot.oci import PaginationInvalid


class Cursors:
    """Seals names under the replicas' keys, so that a page can end at what its reader may not see.

    Those of one ``purpose`` are good for no other.
    """

    def __init__(self, keys: KeySet, purpose: str = "catalog position") -> None:
        self._keys = keys
        self._purpose = purpose

    def seal(self, name: str) -> str:
        """A text for a query."""
        return base64.urlsafe_b64encode(self._keys.seal(name.encode(), purpose=self._purpose)).decode("ascii")

    def open(self, position: str) -> str:
        """The name that was sealed; raises PaginationInvalid for what was not."""
        try:
            return self._keys.unseal(base64.urlsafe_b64decode(position), purpose=self._purpose).decode()
        except (ValueError, SealInvalid):
            raise PaginationInvalid(reason="position") from None
