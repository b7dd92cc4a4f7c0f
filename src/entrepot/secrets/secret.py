"""Values that must not be shown."""

import hmac
from typing import NoReturn

from typing_extensions import override

_MASK = "********"


class Secret:
    """Text that shows itself only when asked by name: not in reprs, formats, logs, pickles or JSON."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The text itself."""
        return self.__value

    @override
    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    @override
    def __str__(self) -> str:
        return _MASK

    @override
    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (one.reveal().encode("utf-8", "surrogatepass") for one in (self, other))
        return hmac.compare_digest(mine, theirs)

    @override
    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Secret":
        return self

    @override
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = "a secret is not to be written anywhere"
        raise TypeError(message)
