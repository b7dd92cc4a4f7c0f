"""A bounded memory of recent results."""

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The ``at_most`` entries that were used last; for one event loop, so without a lock."""

    __slots__ = ("_at_most", "_entries")

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value kept under ``key``, which becomes the newest; None without one."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Keep ``value`` as the newest and forget the oldest beyond the bound."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._at_most:
            self._entries.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget what is kept under ``key``, if anything."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
