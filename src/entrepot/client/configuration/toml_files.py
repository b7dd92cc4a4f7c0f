"""Reading TOML that somebody else may have written: bounded, with errors that name the file and the key."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from entrepot.client.errors import ConfigurationInvalid

BYTES_AT_MOST: Final = 1024 * 1024
ENTRIES_AT_MOST: Final = 1000


def read_toml(path: Path) -> Mapping[str, Any] | None:
    """The document of a file, None where there is none; raises ConfigurationInvalid."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_AT_MOST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationInvalid(str(path), reason="unreadable", evidence=[error.strerror or str(error)]) from error
    if len(content) > BYTES_AT_MOST:
        raise ConfigurationInvalid(str(path), reason="too-long", cause=f"it has more than {BYTES_AT_MOST} bytes")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigurationInvalid(str(path), reason="toml", cause="it is no TOML", evidence=[str(error)]) from error


class Table:
    """A table of such a file, whose values are asked for by key and type."""

    def __init__(self, path: Path, values: Any, key: str = "") -> None:
        self.path = path
        self._key = key
        if not isinstance(values, dict):
            raise self.wrong("", "a table is wanted")
        self.values: dict[str, Any] = values

    def text(self, key: str) -> str:
        """A text, "" for none."""
        return self._value(key, str, "a text is wanted") or ""

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        found = self._value(key, bool, "true or false is wanted")
        return default if found is None else bool(found)

    def said(self, key: str) -> bool | None:
        """True or false, None where nothing is said."""
        found = self._value(key, bool, "true or false is wanted")
        return None if found is None else bool(found)

    def texts(self, key: str) -> list[str]:
        """A text or several."""
        found = self.values.get(key)
        found = [found] if isinstance(found, str) else found or []
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise self.wrong(key, "a text or a list of them is wanted")
        return found

    def table(self, key: str) -> "Table":
        """A table within it, an empty one for none."""
        return Table(self.path, self.values.get(key, {}), self._inner(key))

    def tables(self, key: str) -> list["Table"]:
        """An array of tables; raises ConfigurationInvalid for more than a thousand."""
        found = self.values.get(key, [])
        if not isinstance(found, list) or len(found) > ENTRIES_AT_MOST:
            raise self.wrong(key, "an array of tables is wanted")
        return [Table(self.path, one, f"{self._inner(key)}[{number}]") for number, one in enumerate(found)]

    def files(self, key: str) -> list[Path]:
        """Paths, those that are relative from where the file lies."""
        return [self.path.parent / text for text in self.texts(key)]

    def wrong(self, key: str, cause: str) -> ConfigurationInvalid:
        """The error for a value."""
        return ConfigurationInvalid(f"{self.path}: {self._inner(key)}", reason="value", cause=cause)

    def _value(self, key: str, kind: type, cause: str) -> Any:
        found = self.values.get(key)
        if found is not None and not isinstance(found, kind):
            raise self.wrong(key, cause)
        return found

    def _inner(self, key: str) -> str:
        return f"{self._key}.{key}" if self._key and key else self._key or key
