"""How values of the domain are stored in columns."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Text
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override

from entrepot.oci import Algorithm, Digest

_ALGORITHM_BYTE = {Algorithm.SHA256: b"\x01", Algorithm.SHA512: b"\x02"}
_BYTE_ALGORITHM = {code: algorithm for algorithm, code in _ALGORITHM_BYTE.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def digest_to_bytes(digest: Digest) -> bytes:
    """One byte for the algorithm (1 sha256, 2 sha512) and the raw digest: half the size of the text, same order."""
    return _ALGORITHM_BYTE[digest.algorithm] + bytes.fromhex(digest.encoded)


def digest_from_bytes(stored: bytes) -> Digest:
    """The reverse of ``digest_to_bytes``."""
    return Digest(_BYTE_ALGORITHM[stored[:1]], stored[1:].hex())


def instant_to_microseconds(instant: datetime) -> int:
    """An aware instant as integer microseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_from_microseconds(stored: int) -> datetime:
    """The reverse of ``instant_to_microseconds``; aware, UTC."""
    return _EPOCH + timedelta(microseconds=stored)


class DigestType(TypeDecorator[Digest]):
    """A digest as algorithm byte and raw bytes."""

    impl = LargeBinary
    cache_ok = True

    @override
    def process_bind_param(self, value: Digest | None, dialect: Dialect) -> bytes | None:
        """To the column."""
        return None if value is None else digest_to_bytes(value)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> Digest | None:
        """From the column."""
        return None if value is None else digest_from_bytes(bytes(value))


class InstantType(TypeDecorator[datetime]):
    """An instant as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the column."""
        return None if value is None else instant_to_microseconds(value)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From the column."""
        return None if value is None else instant_from_microseconds(value)


def byte_ordered_text() -> TypeEngine[str]:
    """Text that compares by bytes on both databases, as the specification orders tags and names."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def row_number() -> TypeEngine[int]:
    """A 64-bit row number that SQLite, too, makes by itself, and with AUTOINCREMENT never gives again."""
    return BigInteger().with_variant(Integer(), "sqlite")
