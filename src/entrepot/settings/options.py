"""Every option once: its name, type, unit, bounds, default, and one sentence about it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum, auto
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from entrepot.settings.addresses import (
    Address,
    DatabaseUrl,
    is_protected,
    parse_directory_url,
    parse_issuer,
    parse_public_url,
)
from entrepot.settings.quantities import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    WANTS_DURATION,
    WANTS_SIZE,
    parse_duration,
    parse_size,
    render_duration,
    render_size,
)

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_TIB: Final = 1 << 40
_WANTS_PATH = "wants a path of printable characters without a question mark"
_WANTS_WORD = "wants printable text of at most 1024 characters, without spaces around it"
_WORD_CHARACTERS_AT_MOST: Final = 1024
_PLACE = re.compile(r"\{[a-z]+\}")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


class Form(Enum):
    """How an option's value is written."""

    ADDRESS = auto()
    DIRECTORY = auto()
    FILE = auto()
    DATABASE = auto()
    URL = auto()
    TEXT = auto()
    CHOICE = auto()
    NUMBER = auto()
    SWITCH = auto()
    DURATION = auto()
    SIZE = auto()
    RATE = auto()
    NETWORKS = auto()
    WORDS = auto()
    TABLES = auto()


class Mark(Enum):
    """What else is to be known about an option."""

    FLAG = auto()
    """It can be given on the command line."""
    SECRET = auto()
    """It may hold a secret: masked when shown, and readable from a file named by a variable."""


@dataclass(frozen=True, slots=True)
class Computed:
    """In words, the default of an option that follows from others or from the machine."""

    words: str


class Anonymous(StrEnum):
    """What a client without credentials may do."""

    NONE = "none"
    PULL = "pull"
    PUSH = "push"


class MissingBlobs(StrEnum):
    """What happens to a manifest that names blobs which its repository does not have."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class Untagged(StrEnum):
    """What happens to manifests that no tag and no index names."""

    KEEP = "keep"
    COLLECT = "collect"


class ClientIdentityField(StrEnum):
    """Which field of a client's certificate names the account."""

    CN = "cn"
    DNS = "dns"
    URI = "uri"
    EMAIL = "email"


class LogLevel(StrEnum):
    """From which severity on events are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(WANTS_DURATION)


def _size(value: object) -> int:
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(WANTS_SIZE)


def _address(value: object) -> Address:
    return value if isinstance(value, Address) else Address.parse(_text(value))


def _database(value: object) -> DatabaseUrl:
    return value if isinstance(value, DatabaseUrl) else DatabaseUrl.parse(_text(value))


def _public_url(value: object) -> str:
    return parse_public_url(_text(value))


def _path(value: object) -> Path:
    path = value if isinstance(value, Path) else Path(_text(value))
    if not value or not str(path).isprintable() or "?" in str(path):
        raise ValueError(_WANTS_PATH)
    try:
        return path.expanduser().absolute()
    except RuntimeError:  # ~user without such a user
        raise ValueError(_WANTS_PATH) from None


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(_text(value))
    except ValueError:
        message = 'wants networks such as "10.0.0.0/8" or "fd00::/8", without host bits'
        raise ValueError(message) from None


def _issuer(value: object) -> str:
    return parse_issuer(_text(value))


def _directory_url(value: object) -> str:
    return parse_directory_url(_text(value))


def _word(value: object) -> str:
    text = _text(value)
    if not text or len(text) > _WORD_CHARACTERS_AT_MOST or not text.isprintable() or text != text.strip():
        raise ValueError(_WANTS_WORD)
    return text


def _user_filter(value: object) -> str:
    text = _word(value)
    if "{username}" not in text or not text.startswith("(") or text.count("(") != text.count(")"):
        message = 'wants a filter with {username} in it, such as "(uid={username})"'
        raise ValueError(message)
    return text


def _group_filter(value: object) -> str:
    text = _word(value)
    if not {"{username}", "{dn}"} & set(_PLACE.findall(text)) or text.count("(") != text.count(")"):
        message = 'wants a filter with {dn} or {username} in it, such as "(member={dn})"'
        raise ValueError(message)
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        message = "wants text in quotes"
        raise ValueError(message)  # ruff: ignore[type-check-without-type-error]  pydantic takes a ValueError for a refusal
    return value


_AS_TEXT = PlainSerializer(str, return_type=str)
_TEXT_SCHEMA = WithJsonSchema({"type": "string"})

Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(render_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
    Form.DURATION,
]
Size: TypeAlias = Annotated[
    int,
    Strict(),
    BeforeValidator(_size),
    PlainSerializer(render_size, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}),
    Form.SIZE,
]
Count: TypeAlias = Annotated[int, Strict(), Form.NUMBER]
Switch: TypeAlias = Annotated[bool, Strict(), Form.SWITCH]
_AddressValue: TypeAlias = Annotated[Address, BeforeValidator(_address), _AS_TEXT, _TEXT_SCHEMA]
_PathValue: TypeAlias = Annotated[Path, BeforeValidator(_path), _AS_TEXT, _TEXT_SCHEMA]
_UrlValue: TypeAlias = Annotated[str, BeforeValidator(_public_url), _TEXT_SCHEMA]
_DatabaseValue: TypeAlias = Annotated[DatabaseUrl, BeforeValidator(_database), _AS_TEXT, _TEXT_SCHEMA]
_IssuerValue: TypeAlias = Annotated[str, BeforeValidator(_issuer), _TEXT_SCHEMA]
_DirectoryUrlValue: TypeAlias = Annotated[str, BeforeValidator(_directory_url), _TEXT_SCHEMA]
_GroupFilterValue: TypeAlias = Annotated[str, BeforeValidator(_group_filter), _TEXT_SCHEMA]
_WordValue: TypeAlias = Annotated[str, BeforeValidator(_word), _TEXT_SCHEMA]
_NetworkValue: TypeAlias = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network), _AS_TEXT, _TEXT_SCHEMA]


def default_data_directory(environ: Mapping[str, str], user_id: int) -> Path:
    """Where data lies when nobody says: for root below /var/lib, else in the user's data directory (XDG)."""
    if user_id == 0:
        return Path("/var/lib/entrepot")
    base = environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.local/share").expanduser()) / "entrepot"


def _default_data() -> Path:
    return default_data_directory(os.environ, os.geteuid())


def _default_database(validated: Mapping[str, object]) -> DatabaseUrl:
    data = validated["data"]
    assert isinstance(data, Path)
    return DatabaseUrl.of_file(data / "entrepot.db")


def _default_service(validated: Mapping[str, object]) -> str:
    url = validated["public_url"]
    return urlsplit(url).netloc if isinstance(url, str) else "entrepot"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


class Admin(_Section):
    """The first administrator."""

    password_file: Annotated[_PathValue | None, Form.FILE, Mark.FLAG] = Field(
        default=None,
        description="File with the password of the user `admin`, which gets it at every start; without it a new "
        "registry makes one on SQLite, on PostgreSQL it must be given.",
    )


class Tokens(_Section):
    """The tokens that clients get for their credentials."""

    lifetime: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=24),
        description="How long a token is valid; less than a minute is for tests, as clients take it for a minute.",
    )
    refresh_lifetime: Duration = Field(
        default=timedelta(days=30),
        ge=timedelta(minutes=1),
        le=timedelta(days=3650),
        description="How long a refresh token is valid, with which a client gets tokens without a password.",
    )
    session_lifetime: Duration = Field(
        default=timedelta(hours=12),
        ge=timedelta(minutes=1),
        le=timedelta(days=90),
        description="How long a browser stays logged in.",
    )
    rotate_every: Duration = Field(
        default=timedelta(days=30),
        ge=timedelta(hours=2),  # twice as long as a key is published before it signs
        le=timedelta(days=3650),
        description="How long a key signs tokens until the next one takes over.",
    )
    key_file: Annotated[_PathValue | None, Form.FILE] = Field(
        default=None,
        description="File with the key that encrypts the tokens' signing keys in the database; "
        "without it they lie there as they are.",
    )


class Uploads(_Section):
    """Blob uploads."""

    session_lifetime: Duration = Field(
        default=timedelta(days=7),
        ge=timedelta(minutes=1),
        le=timedelta(days=90),
        description="How long an upload session can be continued after it was last written to.",
    )
    lease: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(seconds=1),
        le=timedelta(days=90),
        description="How long pushed content stays that no manifest or tag refers to; "
        "longer than the slowest push of a whole image.",
    )
    checkpoint_bytes: Size = Field(
        default=64 * _MIB,
        ge=64 * _KIB,
        le=_GIB,
        description="After how many bytes of a body what arrived is made durable, so that the upload can go on there.",
    )
    checkpoint_interval: Duration = Field(
        default=timedelta(seconds=5),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=5),
        description="After how much time within a body what arrived is made durable.",
    )
    blob_bytes_at_most: Size = Field(
        default=_TIB,
        ge=_MIB,
        le=1024 * _TIB,
        description="The largest blob that can be pushed; more is refused with 413.",
    )
    retry_window: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(),
        le=timedelta(hours=24),
        description="How long a finished upload answers its last request again, for clients that lost the answer.",
    )
    sessions_at_most_per_principal: Count = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="How many open upload sessions one user may have; more is refused with 429.",
    )


class Manifests(_Section):
    """Manifests and indexes."""

    bytes_at_most: Size = Field(
        default=4 * _MIB,
        ge=64 * _KIB,
        le=64 * _MIB,
        description="The largest manifest that can be pushed; more is refused with 413.",
    )
    cache_bytes: Size = Field(
        default=64 * _MIB,
        ge=0,
        le=64 * _GIB,
        description="Memory of each worker for manifests that were pulled before.",
    )
    missing_blobs: Annotated[MissingBlobs, Form.CHOICE] = Field(
        default=MissingBlobs.REFUSE,
        description="A manifest that names blobs its repository lacks: `refuse` it, or `accept` sparse images.",
    )


class Lists(_Section):
    """Lists of tags, repositories and referrers."""

    page: Count = Field(
        default=100, ge=1, le=10_000, description="How many entries a page has when the client does not say."
    )
    page_at_most: Count = Field(
        default=1000, ge=1, le=10_000, description="How many entries a page has at most.", validate_default=True
    )

    @field_validator("page_at_most")
    @classmethod
    def _no_page_is_larger(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("page", 0):
            message = "is less than lists.page"
            raise ValueError(message)
        return value


class Http(_Section):
    """What one connection may cost."""

    header_bytes: Size = Field(
        default=32 * _KIB,
        ge=4 * _KIB,
        le=_MIB,
        description="Request line and headers together; more is refused with 431.",
    )
    header_timeout: Duration = Field(
        default=timedelta(seconds=10),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=10),
        description="How long a client may take to send the headers of a request.",
    )
    idle_timeout: Duration = Field(
        default=timedelta(seconds=75),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="How long a connection may wait between two requests.",
    )
    minimum_rate: Annotated[Size, Form.RATE] = Field(
        default=_KIB,
        ge=1,
        le=100 * _MIB,
        description="Bytes per second below which a sender or reader is cut off.",
    )
    rate_window: Duration = Field(
        default=timedelta(seconds=60),
        ge=timedelta(milliseconds=100),
        le=timedelta(hours=1),
        description="Over how much time the minimum rate is measured.",
    )
    graceful_stop: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(),
        le=timedelta(hours=1),
        description="How long running requests may go on after the server was told to stop.",
    )
    connections_at_most: Count = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="Open connections of each worker; a further one is answered with 503.",
    )


class Storage(_Section):
    """The store of blobs."""

    reserve: Size = Field(
        default=64 * _MIB,
        ge=0,
        le=_TIB,
        description="Free space below which uploads are refused with 507, so that the database can still write.",
    )
    allow_network_filesystem: Switch = Field(
        default=False,
        description="Start even if an SQLite database lies on a network file system, where its locks may not hold.",
    )


class Gc(_Section):
    """The collection of what nobody refers to any more; it runs beside pushes and pulls."""

    schedule: Annotated[str, BeforeValidator(_text), Form.TEXT] = Field(
        default="* * * * *",
        description="When the collection works off what is due: a cron expression, UTC, such as `*/5 1-5 * * *`.",
    )
    sweep_schedule: Annotated[str, BeforeValidator(_text), Form.TEXT] = Field(
        default="41 3 * * *",
        description="When all rows and all stored objects are searched for what was missed: a cron expression, UTC.",
    )

    review_after: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(0),
        le=timedelta(days=365),
        description="From the last event that concerns a manifest or blob to the review that may remove it.",
    )
    delete_after: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="From the removal of a blob to the deletion of its bytes; longer than the longest download takes.",
    )
    untagged: Annotated[Untagged, Form.CHOICE] = Field(
        default=Untagged.COLLECT,
        description="What happens to manifests that no tag and no index names: `keep` keeps them for ever.",
    )
    untagged_after: Duration = Field(
        default=timedelta(days=14),
        ge=timedelta(0),
        le=timedelta(days=3650),
        description="How long such a manifest stays after it has lost its last reference, or after its push.",
    )
    pulled_within: Duration = Field(
        default=timedelta(days=14),
        ge=timedelta(0),
        le=timedelta(days=3650),
        description="How long it stays after its last pull, whoever pins its digest; `0s` does not count pulls.",
    )
    unknown_after: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="How long objects stay in the store that the database does not know.",
    )


class Jobs(_Section):
    """Work that is done later, by a worker beside the server."""

    in_serve: Annotated[Switch, Mark.FLAG] = Field(
        default=True,
        description="Whether `entrepot serve` runs a worker; `--no-worker` says no, for where `entrepot worker` does.",
    )
    concurrency: Count = Field(default=2, ge=1, le=64, description="How many jobs a worker runs at a time.")
    poll_interval: Duration = Field(
        default=timedelta(seconds=2),
        ge=timedelta(milliseconds=50),
        le=timedelta(minutes=5),
        description="How often a worker looks for jobs that are due.",
    )
    lease: Duration = Field(
        default=timedelta(seconds=60),
        ge=timedelta(seconds=2),
        le=timedelta(hours=1),
        description="How long after a worker was last heard of others begin its jobs anew.",
    )
    history: Duration = Field(
        default=timedelta(days=14),
        ge=timedelta(),
        le=timedelta(days=3650),
        description=(
            "How long jobs that ended can still be looked at, with their logs; of those that were done by a schedule, "
            "only the last 1,000 of a kind."
        ),
    )


class Audit(_Section):
    """The record of who did what, who logged in, and who was refused."""

    keep: Duration = Field(
        default=timedelta(days=180),
        ge=timedelta(hours=1),
        le=timedelta(days=36500),
        description="How long it is kept.",
    )
    rows_at_most: Count = Field(
        default=1_000_000,
        ge=1000,
        le=1_000_000_000,
        description="How many rows are kept at most, of some 300 bytes each; the oldest go first.",
    )


class Log(_Section):
    """The log."""

    level: Annotated[LogLevel, Form.CHOICE] = Field(
        default=LogLevel.INFO, description="From which severity on events are logged."
    )


class Tls(_Section):
    """TLS of the server itself; a proxy in front may do it instead."""

    certificate: Annotated[_PathValue | None, Form.FILE, Mark.FLAG] = Field(
        default=None, description="File with the certificate chain in PEM, the server's own first."
    )
    key: Annotated[_PathValue | None, Form.FILE, Mark.FLAG] = Field(
        default=None, description="File with the private key of the certificate in PEM.", validate_default=True
    )

    client_ca: Annotated[_PathValue | None, Form.FILE, Mark.FLAG] = Field(
        default=None,
        description="Authorities in PEM whose client certificates log in to accounts; without it none is asked for.",
    )
    client_required: Switch = Field(
        default=False, description="Whether a connection without such a certificate is refused."
    )
    client_identity: Annotated[ClientIdentityField, Form.CHOICE] = Field(
        default=ClientIdentityField.CN,
        description="Which field of a client's certificate is the name of its account: the subject's common name, or "
        "the only alternative name of that kind.",
    )
    redirect_listen: Annotated[_AddressValue | None, Form.ADDRESS, Mark.FLAG] = Field(
        default=None, description="Where plain HTTP is answered with a redirect to the address with TLS."
    )
    hsts: Duration = Field(
        default=timedelta(),
        ge=timedelta(),
        le=timedelta(days=3650),
        description="For how long browsers are told to come back over TLS only; 0s says nothing.",
    )

    @field_validator("client_ca", "redirect_listen")
    @classmethod
    def _goes_with_tls(cls, value: Path | Address | None, info: ValidationInfo) -> Path | Address | None:
        if value is not None and info.data.get("certificate") is None:
            message = "is of use only with tls.certificate and tls.key"
            raise ValueError(message)
        return value

    @field_validator("key")
    @classmethod
    def _goes_with_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "certificate" in info.data and (value is None) != (info.data["certificate"] is None):
            message = "tls.certificate and tls.key are given both or neither"
            raise ValueError(message)
        return value


class Oidc(_Section):
    """People who log in at an OpenID provider."""

    issuer: Annotated[_IssuerValue | None, Form.URL] = Field(
        default=None,
        description="The OpenID provider at which people log in, exactly as it calls itself, "
        "such as `https://login.example.com/realms/main`.",
    )
    client_id: Annotated[_WordValue | None, Form.TEXT] = Field(
        default=None, description="This registry's client there.", validate_default=True
    )
    client_secret: Annotated[SecretStr | None, Form.TEXT, Mark.SECRET] = Field(
        default=None, description="The client's secret; a public client has none."
    )
    scopes: Annotated[tuple[_WordValue, ...], Form.WORDS] = Field(
        default=("openid", "profile"), description="What is asked for; `openid` has to be there.", max_length=32
    )
    username_claim: Annotated[_WordValue, Form.TEXT] = Field(
        default="preferred_username", description="The claim with the name of who logs in."
    )
    groups_claim: Annotated[_WordValue, Form.TEXT] = Field(
        default="groups", description="The claim with the names of their groups; without it they have none."
    )
    admin_group: Annotated[_WordValue | None, Form.TEXT] = Field(
        default=None, description="The group of that provider whose members administrate this registry."
    )
    ca_file: Annotated[_PathValue | None, Form.FILE] = Field(
        default=None, description="File with the authorities in PEM that alone are trusted to name the provider."
    )
    allow_http: Switch = Field(
        default=False,
        description="Whether a provider elsewhere than on this machine may be asked without TLS.",
        validate_default=True,
    )

    @field_validator("client_id")
    @classmethod
    def _goes_with_an_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "issuer" in info.data and (value is None) != (info.data["issuer"] is None):
            message = "oidc.issuer and oidc.client_id are given both or neither"
            raise ValueError(message)
        return value

    @field_validator("allow_http")
    @classmethod
    def _is_said_where_it_is_needed(cls, value: bool, info: ValidationInfo) -> bool:  # ruff: ignore[boolean-type-hint-positional-argument]  pydantic calls it
        issuer = info.data.get("issuer")
        if issuer is not None and not value and not is_protected(issuer):
            message = "has to be true for an oidc.issuer over http"
            raise ValueError(message)
        return value

    @field_validator("scopes")
    @classmethod
    def _asks_for_an_id_token(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            message = "wants openid among them"
            raise ValueError(message)
        return value


class Ldap(_Section):
    """People of an LDAP directory or Active Directory."""

    url: Annotated[_DirectoryUrlValue | None, Form.URL] = Field(
        default=None,
        description="The directory in which passwords are verified: `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]`.",
    )
    start_tls: Switch = Field(
        default=True, description="Whether `ldap://` begins with StartTLS; without it passwords travel open."
    )
    ca_file: Annotated[_PathValue | None, Form.FILE] = Field(
        default=None, description="File with the authorities in PEM that alone are trusted to name the directory."
    )
    bind_dn: Annotated[_WordValue | None, Form.TEXT] = Field(
        default=None, description="Who searches, such as `cn=registry,dc=example,dc=com`; without it nobody by name."
    )
    bind_password: Annotated[SecretStr | None, Form.TEXT, Mark.SECRET] = Field(
        default=None, description="The password of `ldap.bind_dn`.", validate_default=True
    )
    base_dn: Annotated[_WordValue | None, Form.TEXT] = Field(
        default=None, description="Below which entry people are found.", validate_default=True
    )
    user_filter: Annotated[str, BeforeValidator(_user_filter), _TEXT_SCHEMA, Form.TEXT] = Field(
        default="(uid={username})", description="How somebody is found; the name stands in place of `{username}`."
    )
    name_attribute: Annotated[_WordValue, Form.TEXT] = Field(
        default="uid", description="The attribute with the name of who was found; `sAMAccountName` in Active Directory."
    )
    group_base_dn: Annotated[_WordValue | None, Form.TEXT] = Field(
        default=None, description="Below which entry groups count; without it below `ldap.base_dn`."
    )
    group_filter: Annotated[_GroupFilterValue | None, Form.TEXT] = Field(
        default=None,
        description="How the groups of `{dn}` or `{username}` are found, such as `(member={dn})`; "
        "without it they are those of `memberOf`.",
    )
    group_attribute: Annotated[_WordValue, Form.TEXT] = Field(
        default="cn", description="The attribute with the name of a group; `dn` for its whole distinguished name."
    )
    admin_group: Annotated[_WordValue | None, Form.TEXT] = Field(
        default=None, description="The group of that directory whose members administrate this registry."
    )
    timeout: Duration = Field(
        default=timedelta(seconds=5),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=1),
        description="How long the directory may take for one login.",
    )

    @field_validator("bind_password")
    @classmethod
    def _goes_with_a_name(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "bind_dn" in info.data and bool(value and value.get_secret_value()) != (info.data["bind_dn"] is not None):
            message = "ldap.bind_dn and ldap.bind_password are given both or neither"
            raise ValueError(message)
        return value

    @field_validator("base_dn")
    @classmethod
    def _goes_with_a_directory(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "url" in info.data and (value is None) != (info.data["url"] is None):
            message = "ldap.url and ldap.base_dn are given both or neither"
            raise ValueError(message)
        return value


class WorkloadIssuer(_Section):
    """An issuer of tokens that jobs and pods log in with."""

    issuer: _IssuerValue
    audience: _WordValue
    jwks_file: _PathValue | None = None
    ca_file: _PathValue | None = None

    @field_validator("issuer")
    @classmethod
    def _is_protected(cls, value: str) -> str:
        if not is_protected(value):
            message = "wants https"
            raise ValueError(message)
        return value


class Workload(_Section):
    """Jobs and pods that log in with tokens of their own system."""

    issuers: Annotated[tuple[WorkloadIssuer, ...], Form.TABLES] = Field(
        default=(),
        description="Whose tokens count: `issuer`, the `audience` that they have to be for, and if need be `jwks_file` "
        "with its keys and `ca_file` with its authorities.",
        max_length=64,
    )

    @field_validator("issuers")
    @classmethod
    def _has_each_once(cls, value: tuple[WorkloadIssuer, ...]) -> tuple[WorkloadIssuer, ...]:
        if len({one.issuer for one in value}) != len(value):
            message = "names an issuer twice"
            raise ValueError(message)
        return value


class Settings(_Section):
    """All that can be set about a server; immutable, and without secrets in its representation."""

    listen: Annotated[_AddressValue, Form.ADDRESS, Mark.FLAG] = Field(
        default=Address("127.0.0.1", 5000), description="Where clients reach the registry."
    )
    ops_listen: Annotated[_AddressValue | None, Form.ADDRESS, Mark.FLAG] = Field(
        default=None,
        description="Where health and metrics answer without credentials, such as `127.0.0.1:5001`; not a public one.",
    )
    data: Annotated[
        _PathValue, Form.DIRECTORY, Mark.FLAG, Computed("`$XDG_DATA_HOME/entrepot`, for root `/var/lib/entrepot`")
    ] = Field(
        default_factory=_default_data, description="Directory of everything that the registry keeps; made when missing."
    )
    database: Annotated[
        _DatabaseValue, Form.DATABASE, Mark.FLAG, Mark.SECRET, Computed("SQLite: `entrepot.db` in the data directory")
    ] = Field(
        default_factory=_default_database,
        description="Where the metadata lies: `sqlite:////absolute/path` or `postgresql://user:password@host/database`.",
    )
    anonymous: Annotated[Anonymous, Form.CHOICE, Mark.FLAG] = Field(
        default=Anonymous.NONE, description="What clients without credentials may do; `push` includes pull."
    )
    workers: Annotated[Count, Mark.FLAG] = Field(
        default=1, ge=1, le=128, description="How many processes serve requests."
    )
    public_url: Annotated[_UrlValue | None, Form.URL, Mark.FLAG] = Field(
        default=None,
        description="The address under which clients know the registry, such as `https://registry.example.com`; "
        "then it stands in redirects and challenges.",
    )
    path_prefix: Annotated[str, BeforeValidator(_text), Form.TEXT] = Field(
        default="", description="A path before `/v2/`, such as `/registry`, for proxies that pass it on."
    )
    service: Annotated[
        str, BeforeValidator(_text), Form.TEXT, Computed("host and port of `public_url`, else `entrepot`")
    ] = Field(default_factory=_default_service, description="The registry's name in tokens (their audience).")
    trusted_proxies: Annotated[tuple[_NetworkValue, ...], Form.NETWORKS] = Field(
        default=(),
        description="Networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
        max_length=256,
    )
    admin: Admin = Admin()
    tokens: Tokens = Tokens()
    oidc: Oidc = Oidc()
    ldap: Ldap = Ldap()
    workload: Workload = Workload()
    uploads: Uploads = Uploads()
    manifests: Manifests = Manifests()
    lists: Lists = Lists()
    http: Http = Http()
    storage: Storage = Storage()
    gc: Gc = Gc()
    jobs: Jobs = Jobs()
    audit: Audit = Audit()
    log: Log = Log()
    tls: Tls = Tls()

    @field_validator("ops_listen")
    @classmethod
    def _has_a_port_of_its_own(cls, value: Address | None, info: ValidationInfo) -> Address | None:
        listen = info.data.get("listen")
        if value is not None and isinstance(listen, Address) and value.port == listen.port != 0:
            message = "has the same port as listen"
            raise ValueError(message)
        return value

    @field_validator("path_prefix")
    @classmethod
    def _is_a_plain_path(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value):
            message = 'wants a path such as "/registry", without a slash at its end'
            raise ValueError(message)
        return value

    @field_validator("service")
    @classmethod
    def _can_stand_in_a_challenge(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:/\[\]-]{1,255}", value):
            message = "wants a name of letters, digits and . _ : / -"
            raise ValueError(message)
        return value
