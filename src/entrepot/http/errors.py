"""The one table from errors to HTTP: statuses, headers, and the JSON body of the distribution spec ("Error Codes")."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final, Protocol, TypeVar, runtime_checkable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.access import (
    LastAdministrator,
    LoginDenied,
    LoginExpired,
    LoginPending,
    LoginPendingSlower,
    NameTaken,
    NameUnknownHere,
    ProjectHasContent,
    RoleInUse,
    VersionMismatch,
)
from entrepot.http.observation import Observation, observation_of
from entrepot.metadata import ConstraintViolation
from entrepot.oci.errors import (
    BlobReferenced,
    BlobTooLarge,
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    Detail,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestConditionFailed,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    MethodNotAllowed,
    NameInvalid,
    NameUnknown,
    PaginationInvalid,
    RangeInvalid,
    RegistryError,
    RequestInvalid,
    RequestTimeout,
    SizeInvalid,
    StorageFull,
    TagInvalid,
    TooManyRequests,
    TooManyTags,
    Unauthorized,
    Unavailable,
    Unsupported,
    UploadRangeInvalid,
)

logger = logging.getLogger(__name__)

_Error = TypeVar("_Error", bound=RegistryError)


class ClientGone(ConnectionError):
    """The client went away before its request or its answer was complete; there is nobody to answer.

    ``code`` stands in the access log where the code of a refusal would.
    """

    code: ClassVar[str] = "CLIENT_GONE"


class ReaderTooSlow(ClientGone):
    """The client read its answer slower than the minimum rate and was cut off."""

    code = "READER_TOO_SLOW"


class PathUnknown(RequestInvalid):
    """No resource has this path (404)."""

    message = "there is nothing under this path"


class BodyTooLarge(RequestInvalid):
    """The request's body is longer than this resource takes (413)."""

    message = "the request's body is larger than this resource takes"


class GrantTypeUnsupported(RequestInvalid):
    """The token endpoint does not know this way to get a token (400, RFC 6749 section 5.2)."""

    message = "the token endpoint does not know this grant type"


class FieldsInvalid(RequestInvalid):
    """Fields of the request are missing, of another type or out of bounds (422); ``fields`` says which and why."""

    message = "fields of the request are not as they have to be"


class ForeignOrigin(Denied):
    """A browser sent its session along with what another site's page asked for (403)."""

    message = "requests with a browser's session come from this registry's own pages alone"


class HostInvalid(RequestInvalid):
    """``Host`` is missing, doubled or malformed, or differs from an absolute target (400, RFC 9112 section 3.2)."""

    message = "the request needs exactly one valid Host header"


class HeadersTooLarge(RequestInvalid):
    """The request's headers are more, or longer, than the server takes (431, RFC 6585 section 5)."""

    message = "the request's headers are larger than this server takes"


class TargetTooLong(RequestInvalid):
    """The request's target is longer than the server takes (414)."""

    message = "the request's target is longer than this server takes"


class HeadersTooSlow(RequestInvalid):
    """The request's headers were not complete in time (408)."""

    message = "the request's headers did not arrive in time"


STATUSES: Final[Mapping[type[RegistryError], int]] = {
    RegistryError: 500,
    BlobReferenced: 405,
    BlobTooLarge: 413,
    BlobUnknown: 404,
    BlobUploadInvalid: 400,
    BlobUploadUnknown: 404,
    BodyTooLarge: 413,
    Denied: 403,
    DigestInvalid: 400,
    FieldsInvalid: 422,
    HeadersTooLarge: 431,
    HeadersTooSlow: 408,
    LastAdministrator: 409,
    ManifestBlobUnknown: 404,
    ManifestConditionFailed: 412,
    ManifestInvalid: 400,
    ManifestTooLarge: 413,
    ManifestUnknown: 404,
    MethodNotAllowed: 405,
    NameInvalid: 400,
    NameTaken: 409,
    NameUnknown: 404,
    NameUnknownHere: 404,
    PaginationInvalid: 400,
    PathUnknown: 404,
    ProjectHasContent: 409,
    RangeInvalid: 416,
    RequestInvalid: 400,
    RequestTimeout: 408,
    RoleInUse: 409,
    SizeInvalid: 400,
    StorageFull: 507,
    TagInvalid: 400,
    TargetTooLong: 414,
    TooManyRequests: 429,
    TooManyTags: 414,
    Unauthorized: 401,
    Unavailable: 503,
    Unsupported: 400,
    UploadRangeInvalid: 416,
    VersionMismatch: 412,
}
"""The status of each class; a class that is not named has its nearest base's."""

RETRY_AFTER: Final[Mapping[int, int]] = {429: 5, 503: 5, 507: 60}
"""Seconds until a client may ask again, by status; ``detail["retry_after"]`` has precedence.

A full store is emptied by people or by collection, so its clients wait longer.
"""

_WHY_NOT: Final[Mapping[str, str]] = {
    "disabled": "the account is disabled",
    "expired": "the credential has expired",
    "revoked": "the credential was revoked",
}
"""What the message of a 401 says of the reason, where whoever asks can do something about it."""

_CLOSING: Final = frozenset({408, 414, 431})


@runtime_checkable
class CarriesHeaders(Protocol):
    """An error that brings response headers of its own, as a challenge brings ``WWW-Authenticate``."""

    headers: Mapping[str, str]


OAUTH: Final[Mapping[type[RegistryError], tuple[str, int | None]]] = {
    BodyTooLarge: ("invalid_request", None),
    Denied: ("access_denied", 400),
    GrantTypeUnsupported: ("unsupported_grant_type", 400),
    LoginDenied: ("access_denied", 400),
    LoginExpired: ("expired_token", 400),
    LoginPending: ("authorization_pending", 400),
    LoginPendingSlower: ("slow_down", 400),
    RegistryError: ("server_error", None),
    RequestInvalid: ("invalid_request", 400),
    TooManyRequests: ("temporarily_unavailable", None),
    Unauthorized: ("invalid_grant", None),
    Unavailable: ("temporarily_unavailable", None),
}
"""The word of OAuth 2.0 for each class where OAuth is spoken (RFC 6749 section 5.2, RFC 8628 section 3.5).

The second part is the status, None for that of ``STATUSES``; the nearest class counts. Wrong credentials stay 401
where OAuth would say 400: podman and skopeo 1.x show what the answer says only then.
"""


@runtime_checkable
class SpeaksOAuth(Protocol):
    """An error of a request in OAuth's form, whose answer has OAuth's word beside the distribution spec's."""

    speaks_oauth: bool


def in_oauth(error: _Error) -> _Error:
    """The same error, to be answered as RFC 6749 section 5.2 says."""
    error.speaks_oauth = True  # type: ignore[attr-defined]
    return error


@runtime_checkable
class IsProblem(Protocol):
    """An error of the management API, whose answer is a problem document."""

    request_id: str


def as_problem(error: Exception, observation: Observation) -> Response:
    """The answer to an error of the management API (RFC 9457), logged and noted like every other."""
    refusal = _answered(error, observation, begun=False)
    refusal.request_id = observation.request_id  # type: ignore[attr-defined]
    return answer_of(refusal)


def with_headers(error: _Error, headers: Mapping[str, str]) -> _Error:
    """The same error, to be raised with these response headers."""
    error.headers = headers  # type: ignore[attr-defined]
    return error


def status_of(error: RegistryError) -> int:
    """The HTTP status of an error, by the nearest of its classes in the table."""
    if isinstance(error, SpeaksOAuth):
        status = _oauth_of(error)[1]
        if status is not None:
            return status
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def headers_of(error: RegistryError) -> dict[str, str]:
    """The response headers that an error's status asks for, and those that it carries itself."""
    status = status_of(error)
    kind = "application/problem+json" if isinstance(error, IsProblem) else "application/json"
    headers = {"Content-Type": kind, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    if status in RETRY_AFTER:
        headers["Retry-After"] = str(error.detail.get("retry_after", RETRY_AFTER[status]))
    if status in _CLOSING:
        headers["Connection"] = "close"
    if status == 405:  # ruff: ignore[magic-value-comparison]  RFC 9110 section 15.5.6 asks for the header with this status
        headers["Allow"] = _listed(error.detail.get("allow", ""))
    match error:
        case RangeInvalid() if "size" in error.detail:
            headers["Content-Range"] = f"bytes */{error.detail['size']}"
        case UploadRangeInvalid(detail={"offset": int(offset)}):
            headers["Range"] = f"0-{max(offset - 1, 0)}"
        case _:
            pass
    if isinstance(error, CarriesHeaders):
        headers.update(error.headers)
    return headers


def body_of(error: RegistryError) -> bytes:
    """The JSON body of an error (distribution spec, "Error Codes"): one entry, or one per missing digest."""
    if isinstance(error, IsProblem):
        return json.dumps(_problem_of(error, error.request_id), separators=(",", ":")).encode("ascii")
    details: Sequence[Mapping[str, Detail]] = [error.detail]
    digests = error.detail.get("digests")
    if isinstance(error, ManifestBlobUnknown) and isinstance(digests, Sequence) and not isinstance(digests, str):
        details = [{"digest": digest} for digest in digests] or details
    message = _message_of(error)
    entries = [{"code": error.code, "message": message, "detail": _plain(detail)} for detail in details]
    content: dict[str, Detail] = {"errors": entries}
    if isinstance(error, SpeaksOAuth):
        # docker, containerd and podman read ``errors``, OAuth's own clients ``error``.
        content = {"error": _oauth_of(error)[0], "error_description": message, **content}
    return json.dumps(content, separators=(",", ":")).encode("ascii")


def _message_of(error: RegistryError) -> str:
    """The message of an error's class, with what people have to know: docker and podman show them nothing else.

    That is which right it takes, or why a credential counts no more, which only those are told who have it.
    """
    match error:
        case Denied(detail={"scope": str(scope)}):
            return f"{error.message}: it takes {scope}"
        case Unauthorized(detail={"reason": "key-file", "field": str(field)}):
            return f"{error.message}: the key file has no valid {'JSON object' if field == '$' else field}"
        case Unauthorized(detail={"reason": str(reason)}) if reason in _WHY_NOT:
            return f"{error.message}: {_WHY_NOT[reason]}"
        case _:
            return error.message


def answer_of(error: RegistryError) -> Response:
    """The whole response for an error; the same for HEAD, whose body the server leaves out."""
    return Response(body_of(error), status_of(error), headers_of(error))


class ErrorAnswers:
    """ASGI middleware that answers every error of the application, and logs those that are the server's.

    What is no RegistryError is answered 500 with code UNKNOWN and the request id, and logged with its traceback.
    When the answer had begun the connection is cut, so that no client takes a part for the whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting_the_start(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        observation = observation_of(scope)
        try:
            await self._app(scope, receive, noting_the_start)
        except ClientGone as gone:
            observation.code = gone.code
        except asyncio.CancelledError:
            # The grace period of a stop is over: the client may repeat its request elsewhere.
            observation.note(Unavailable())
            if not begun:
                await _send(answer_of(Unavailable()), scope, receive, send)
            raise
        except Exception as error:  # ruff: ignore[blind-except]  no request goes without an answer
            answer = _answered(error, observation, begun=begun)
            if not begun:
                await _send(answer_of(answer), scope, receive, send)


def _answered(error: Exception, observation: Observation, *, begun: bool) -> RegistryError:
    """What an error is answered with; logs it when it is the server's, or when the answer had ``begun``."""
    if isinstance(error, RegistryError):
        answer = error
        if begun or status_of(error) >= 500:  # ruff: ignore[magic-value-comparison]  statuses of the server's failures
            logger.warning(error.message, exc_info=error, extra={"code": error.code})
    elif isinstance(error, ConstraintViolation):
        # What the request relied on went while it ran, such as a repository that was deleted: it may ask again.
        answer = Unavailable(reason="conflict")
        logger.warning("a change met another one", exc_info=error)
    else:
        answer = RegistryError(request_id=observation.request_id)
        logger.error("unexpected error", exc_info=error)
    observation.note(answer)
    return answer


async def _send(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    with suppress(ClientGone):
        await response(scope, receive, send)


def _problem_of(error: RegistryError, request_id: str) -> dict[str, Detail]:
    """A problem document: its type is named for the class of the error, ``parameters`` are what it is about."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
    return {
        "type": f"urn:entrepot:problem:{name}",
        "title": error.message,
        "status": status_of(error),
        "code": error.code,
        "instance": f"urn:entrepot:request:{request_id}",
        "parameters": _plain(error.detail),
    }


def _oauth_of(error: RegistryError) -> tuple[str, int | None]:
    return next(OAUTH[cls] for cls in type(error).__mro__ if cls in OAUTH)


def _listed(allow: Detail) -> str:
    if isinstance(allow, Sequence) and not isinstance(allow, str):
        return ", ".join(str(method) for method in allow)
    return str(allow)


def _plain(detail: Detail) -> Detail:
    if isinstance(detail, Mapping):
        return {key: _plain(value) for key, value in detail.items()}
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return [_plain(value) for value in detail]
    return detail
