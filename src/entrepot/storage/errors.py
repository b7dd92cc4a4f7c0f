"""What can go wrong with stored bytes."""

from entrepot.oci.errors import StorageFull, Unavailable


class StoreFull(StorageFull):
    """The store refused bytes for lack of room, inodes or quota; ``reason`` is ``RESERVE`` or the errno's name."""


class StoreUnavailable(Unavailable):
    """The store did not answer or not with success; ``reason`` is ``CLOSED`` or the errno's name."""

    message = "the registry's storage does not answer; try again later"


class StoreEmpty(Exception):
    """A store's directory is empty, though objects are on record: its disk is not mounted, or they were lost."""


class ObjectUnknown(Exception):
    """There is no object under this key, or it is shorter than asked."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class KeyInvalid(ValueError):
    """A key outside the port's grammar: a mistake of the program, never of a client."""


class HashStateUnusable(Exception):
    """A saved hash state is damaged or of another library; the bytes must be hashed again from the start."""
