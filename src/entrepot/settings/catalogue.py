"""The options as a list, for whatever has to name them all: layers, commands, the reference page, the schema."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from entrepot.settings.addresses import MASK
from entrepot.settings.options import Computed, Form, Mark, Settings
from entrepot.settings.quantities import WANTS_DURATION, WANTS_SIZE, render_duration, render_size

Written: TypeAlias = str | bool | int | list[str | dict[str, str]] | None
"""A value as a settings file has it; None for an option without one."""

ENVIRONMENT_PREFIX: Final = "ENTREPOT_"

_PLACEHOLDERS = {
    Form.ADDRESS: "HOST:PORT",
    Form.DIRECTORY: "DIR",
    Form.FILE: "FILE",
    Form.DATABASE: "URL",
    Form.URL: "URL",
    Form.TEXT: "TEXT",
    Form.NUMBER: "N",
    Form.SWITCH: "true|false",
    Form.DURATION: "DURATION",
    Form.SIZE: "SIZE",
    Form.RATE: "SIZE",
    Form.NETWORKS: "NETWORK,…",
    Form.WORDS: "WORD,…",
    Form.TABLES: "JSON",
}
_WANTS = {
    Form.NUMBER: "wants a whole number",
    Form.SWITCH: "wants true or false",
    Form.DURATION: WANTS_DURATION,
    Form.SIZE: WANTS_SIZE,
    Form.RATE: WANTS_SIZE,
    Form.NETWORKS: 'wants a list of networks such as ["10.0.0.0/8", "fd00::/8"]',
    Form.WORDS: 'wants a list of words such as ["openid", "profile"]',
    Form.TABLES: "wants a list of tables",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option as its users see it; values are written as a user would write them."""

    key: str
    """Its name in files and messages: ``uploads.lease``."""
    form: Form
    description: str
    default: str | None
    """None: there is no value unless one is given."""
    default_words: str | None
    """The default in words, where it is computed."""
    at_least: str | None
    at_most: str | None
    choices: tuple[str, ...]
    may_be_none: bool
    is_secret: bool
    has_flag: bool

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return ENVIRONMENT_PREFIX + self.key.replace(".", "__").upper()

    @property
    def environment_file(self) -> str | None:
        """The variable that names a file with the value; secrets have one."""
        return f"{self.environment}_FILE" if self.is_secret else None

    @property
    def file_key(self) -> str | None:
        """The key in a settings file that names a file with the value; secrets have one."""
        return f"{self.key}_file" if self.is_secret else None

    @property
    def flag(self) -> str | None:
        """Its flag on the command line, if it has one."""
        return "--" + self.key.replace(".", "-").replace("_", "-") if self.has_flag else None

    @property
    def placeholder(self) -> str:
        """What stands for the value in usage lines."""
        return "|".join(self.choices) if self.choices else _PLACEHOLDERS[self.form]

    @property
    def wants(self) -> str:
        """What a value has to be, as the end of a sentence about one that is not."""
        return f"wants one of {', '.join(self.choices)}" if self.choices else _WANTS.get(self.form, "wants text")


@cache
def options() -> tuple[Option, ...]:
    """Every option, in the order of the declaration, those outside sections first."""
    return tuple(_options_of(Settings, ""))


def value_of(settings: Settings, option: Option) -> Written:
    """The value in the form that a file has; a secret is masked."""
    value: object = settings
    for name in option.key.split("."):
        value = getattr(value, name)
    return _written(value, option.form)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a settings file, defaults written as in a file."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Settings of entrepot serve"
    for option in options():
        section, _, name = option.key.rpartition(".")
        holder = schema if not section else schema["$defs"][Settings.model_fields[section].annotation.__name__]  # type: ignore[union-attr]
        declared = holder["properties"][name]
        declared.pop("title", None)
        declared.pop("default", None)
        declared["description"] = option.description
        if option.default is not None:
            declared["default"] = _default_of(option)
        if option.is_secret:
            holder["properties"][f"{name}_file"] = {"type": "string", "description": f"File with the value of {name}."}
    for name in schema["properties"]:
        if "$ref" in schema["properties"][name]:
            schema["properties"][name].pop("default", None)
    return schema


def _default_of(option: Option) -> Written:
    model: type[BaseModel] = Settings
    *sections, name = option.key.split(".")
    for section in sections:
        annotation = model.model_fields[section].annotation
        assert isinstance(annotation, type)
        model = annotation
    return _written(model.model_fields[name].default, option.form)


def _options_of(model: type[BaseModel], prefix: str) -> list[Option]:
    plain: list[Option] = []
    nested: list[Option] = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            nested += _options_of(field.annotation, f"{prefix}{name}.")
        else:
            plain.append(_option(f"{prefix}{name}", field))
    return plain + nested


def _option(key: str, field: FieldInfo) -> Option:
    form = next(mark for mark in reversed(field.metadata) if isinstance(mark, Form))
    computed = next((mark.words for mark in field.metadata if isinstance(mark, Computed)), None)
    default = None if computed else _in_words(field.default, form)
    at_least = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    at_most = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    choices = field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, Enum) else ()
    return Option(
        key=key,
        form=form,
        description=field.description or "",
        default=default,
        default_words=computed,
        at_least=_in_words(at_least, form),
        at_most=_in_words(at_most, form),
        choices=tuple(str(choice.value) for choice in choices),
        may_be_none=get_origin(field.annotation) in {Union, UnionType} and type(None) in get_args(field.annotation),
        is_secret=Mark.SECRET in field.metadata,
        has_flag=Mark.FLAG in field.metadata,
    )


def _in_words(value: object, form: Form) -> str | None:
    written = _written(value, form)
    if isinstance(written, bool):
        return "true" if written else "false"
    if isinstance(written, list):
        return ",".join(map(str, written))
    return None if written is None else str(written)


def _written(value: object, form: Form) -> Written:
    match value:
        case None | bool():
            return value
        case timedelta():
            return render_duration(value)
        case tuple():
            return [_written_entry(entry) for entry in value]
        case int() if form not in {Form.SIZE, Form.RATE}:
            return value
        case int():
            return render_size(value)
        case _:
            return str(value)  # of a database without its password, of a secret a mask


def _written_entry(entry: object) -> str | dict[str, str]:
    return entry.model_dump(mode="json", exclude_none=True) if isinstance(entry, BaseModel) else str(entry)


def is_masked(value: object) -> bool:
    """Whether a written value had a secret in it."""
    return isinstance(value, str) and MASK in value
