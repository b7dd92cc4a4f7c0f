"""Settings from their layers, flag over environment over file over default, and where each value came from."""

import json
import os
import re
import tomllib
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from entrepot.settings.catalogue import ENVIRONMENT_PREFIX, Option, options
from entrepot.settings.options import Form, Settings, default_data_directory
from entrepot.settings.problems import Problem, SettingsError, shown, unknown

DEFAULT_FILE: Final = Path("/etc/entrepot/entrepot.toml")
DEFAULT_ORIGIN: Final = "default"

_FILE_BYTES_AT_MOST = 1 << 20  # of a settings file or a secret's; a mistaken path may lead to something endless
_WRONG_IN_TABLE = {"missing": "is missing", "extra_forbidden": "unknown setting"}
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_DIGITS = re.compile(r"[0-9]{1,18}")
_CLIENT_PREFIX = f"{ENVIRONMENT_PREFIX}CLIENT_"
# Kubernetes puts these into the environment of a container beside a service called "entrepot" or "entrepot-…".
_SERVICE_LINK = re.compile(
    r"ENTREPOT_(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each option's key where its value came from, such as ``environment ENTREPOT_LISTEN``."""

    settings: Settings
    origins: Mapping[str, str]


@dataclass(slots=True)
class _Layers:
    """What the layers say so far; later layers overwrite."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, option: Option, value: object, origin: str) -> None:
        self.values[option.key] = value
        self.origins[option.key] = origin


def load_settings(flags: Mapping[str, str], environ: Mapping[str, str], config_path: Path | None) -> Loaded:
    """Read every layer and check each value; ``flags`` maps keys such as ``uploads.lease`` to what was typed.

    ``config_path`` has to exist; without it /etc/entrepot/entrepot.toml is read if it is there. Raises SettingsError
    with all problems at once. Whether files and directories that are named can be used is for ``check_reachable``.
    """
    layers = _Layers()
    _read_file(layers, config_path)
    _read_environment(layers, environ)
    _read_flags(layers, flags)
    if "data" not in layers.values:
        layers.values["data"] = str(default_data_directory(environ, os.geteuid()))
    nested: dict[str, Any] = {}
    for key, value in layers.values.items():
        *sections, name = key.split(".")
        holder = nested
        for section in sections:
            holder = holder.setdefault(section, {})
        holder[name] = value
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(nested)
    except ValidationError as error:
        layers.problems += _problems_of(error, layers)
    if settings is None or layers.problems:
        raise SettingsError(layers.problems) from None
    return Loaded(settings, {option.key: layers.origins.get(option.key, DEFAULT_ORIGIN) for option in options()})


def _read_flags(layers: _Layers, flags: Mapping[str, str]) -> None:
    known = {option.key: option for option in options()}
    for key, text in flags.items():
        option = known[key]
        layers.put(option, _from_text(option, text), f"flag {option.flag}")


def _read_environment(layers: _Layers, environ: Mapping[str, str]) -> None:
    by_name = {option.environment: option for option in options()}
    by_file_name = {option.environment_file: option for option in options() if option.environment_file}
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name.startswith(_CLIENT_PREFIX) or _SERVICE_LINK.fullmatch(name):
            continue
        origin = f"environment {name}"
        if name in by_name:
            option = by_name[name]
            layers.put(option, _from_text(option, text), origin)
        elif name in by_file_name:
            option = by_file_name[name]
            if option.environment in environ:
                layers.problems.append(Problem(option.key, f"{option.environment} is set as well", origin))
            elif (secret := _read_text(layers, option.key, Path(text), origin)) is not None:
                layers.put(option, secret.rstrip("\r\n"), origin)
        else:
            layers.problems.append(unknown(name, "environment", by_name))


def _read_file(layers: _Layers, config_path: Path | None) -> None:
    if config_path is None and not DEFAULT_FILE.exists():
        return
    path = config_path or DEFAULT_FILE
    origin = f"file {path}"
    text = _read_text(layers, "--config" if config_path else "settings file", path, origin)
    if text is None:
        return
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        layers.problems.append(Problem("--config" if config_path else "settings file", f"is not TOML: {error}", origin))
        return
    known = {option.key: option for option in options()}
    by_file_key = {option.file_key: option for option in options() if option.file_key}
    sections = {key.rpartition(".")[0] for key in known if "." in key}
    given = dict(_flat(document, "", sections))
    for key, value in given.items():
        if key in known:
            layers.put(known[key], value, origin)
        elif key in by_file_key:
            _read_secret_file(layers, by_file_key[key], value, origin, beside=by_file_key[key].key in given)
        elif key in sections:
            layers.problems.append(Problem(key, f"wants a table, [{key}]", origin))
        else:
            layers.problems.append(unknown(key, origin, known))


def _read_secret_file(layers: _Layers, option: Option, path: object, origin: str, *, beside: bool) -> None:
    """Take a secret from the file that a settings file names, unless it stands ``beside`` the name."""
    if beside:
        layers.problems.append(Problem(f"{option.file_key}", f"{option.key} is set as well", origin))
    elif not isinstance(path, str):
        layers.problems.append(Problem(f"{option.file_key}", "wants text in quotes", origin))
    elif (secret := _read_text(layers, f"{option.file_key}", Path(path), origin)) is not None:
        layers.put(option, secret.rstrip("\r\n"), origin)


def _flat(table: Mapping[str, object], prefix: str, sections: set[str]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if key in sections and isinstance(value, dict):
            yield from _flat(value, f"{key}.", sections)
        else:
            yield key, value


def _read_text(layers: _Layers, key: str, path: Path, origin: str) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_AT_MOST + 1)
        if len(content) > _FILE_BYTES_AT_MOST:
            layers.problems.append(Problem(key, f"{path} is larger than 1 MiB", origin))
            return None
        return content.decode()
    except OSError as error:
        layers.problems.append(Problem(key, f"cannot read {path}: {error.strerror}", origin))
    except ValueError:  # not UTF-8, or a path with a NUL
        layers.problems.append(Problem(key, f"cannot read {shown(str(path))}: not a text file in UTF-8", origin))
    return None


def _from_text(option: Option, text: str) -> object:
    """What a flag or variable says, as a file would say it; what cannot be read is left for validation to refuse."""
    if option.may_be_none and not text:
        return None
    if option.form is Form.SWITCH and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if option.form is Form.NUMBER and _DIGITS.fullmatch(text):
        return int(text)
    if option.form in {Form.NETWORKS, Form.WORDS}:
        return [entry.strip() for entry in text.split(",") if entry.strip()]
    if option.form is Form.TABLES:
        with suppress(ValueError):
            return json.loads(text or "[]")
    return text


def _problems_of(error: ValidationError, layers: _Layers) -> Iterator[Problem]:
    known = {option.key: option for option in options()}
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "default_factory_not_called":
            continue  # it follows from an option that has a problem of its own
        key, within = _located(detail["loc"], known)
        option = known[key]
        sentence = _sentence(option, detail)
        if option.form is Form.TABLES and within:
            sentence = _sentence_of_table(within, detail)
        elif not option.is_secret and key in layers.origins:
            sentence += f", not {shown(layers.values[key])}"
        yield Problem(key, sentence, layers.origins.get(key, DEFAULT_ORIGIN))


def _located(loc: tuple[int | str, ...], known: Container[str]) -> tuple[str, tuple[int | str, ...]]:
    """The option that a place in the settings belongs to, and where in its value that is."""
    for length in range(1, len(loc) + 1):
        key = ".".join(part for part in loc[:length] if isinstance(part, str))
        if key in known:
            return key, loc[length:]
    raise LookupError(loc)


def _sentence_of_table(within: tuple[int | str, ...], detail: ErrorDetails) -> str:
    """What is wrong in an entry of a list of tables."""
    entry, *names = within
    place = f"entry {int(entry) + 1}" + "".join(f", {shown(name)}" for name in names)
    if detail["type"] == "value_error":
        return f"{place}: {detail['ctx']['error']}"
    return f"{place}: {_WRONG_IN_TABLE.get(detail['type'], 'wants a table')}"


def _sentence(option: Option, detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] in {"greater_than_equal", "less_than_equal"}:
        return f"wants {option.at_least} to {option.at_most}"
    if detail["type"] == "too_long":
        return f"wants at most {detail['ctx']['max_length']} entries"
    return option.wants
