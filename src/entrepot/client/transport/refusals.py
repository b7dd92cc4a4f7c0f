"""Answers that are errors, as the client's errors."""

import json
from http import HTTPStatus
from typing import Any, Final

from entrepot.client.errors import (
    ClientError,
    Forbidden,
    LoginRequired,
    LyingRegistry,
    NetworkFailure,
    NotFound,
    RateLimited,
    RegistryRefused,
    ServerFailure,
    printable,
)
from entrepot.client.transport.patience import retry_after_of
from entrepot.client.transport.requests import ERROR_BYTES_AT_MOST, Answer

_ERRORS_SHOWN: Final = 5
_REQUEST_IDS: Final = ("X-Request-Id", "X-Amzn-RequestId", "X-Ms-Correlation-Request-Id", "CF-Ray")
_KINDS: Final[dict[int, tuple[type[ClientError], str]]] = {
    HTTPStatus.UNAUTHORIZED: (LoginRequired, ""),
    HTTPStatus.FORBIDDEN: (Forbidden, "the account lacks the right"),
    HTTPStatus.NOT_FOUND: (NotFound, ""),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (RegistryRefused, "something in front of the registry refuses large bodies"),
}
_LIMITS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


async def refusal_of(answer: Answer, subject: str) -> ClientError:
    """The error that an answer means, with the registry's own words and the id that it gave the request."""
    try:
        content = await answer.read(ERROR_BYTES_AT_MOST)
    except (LyingRegistry, NetworkFailure):
        content = b""
    told = _told(content)
    codes = [code for code, _ in told]
    evidence = [f"status {answer.status} from {answer.host}"]
    evidence += [f"{code}: {message}" if message else code for code, message in told]
    evidence += [f"{name}: {answer.headers[name]}" for name in _REQUEST_IDS if name in answer.headers]
    return _classified(answer, subject, evidence, codes)


def _classified(answer: Answer, subject: str, evidence: list[str], codes: list[str]) -> ClientError:
    status = answer.status
    detail: dict[str, Any] = {"status": status, "codes": codes}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        evidence += [f"{name}: {answer.headers[name]}" for name in _LIMITS if name in answer.headers]
        cause = "too many requests of this account or address"
        patience = retry_after_of(answer.headers)
        return RateLimited(subject, retry_after=patience, cause=cause, evidence=evidence, **detail)
    kind, cause = _KINDS.get(status, (RegistryRefused, ""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = ServerFailure
    elif status < HTTPStatus.BAD_REQUEST:
        kind, cause = LyingRegistry, "this is not how a registry answers: is there one at this address?"
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and "Server" in answer.headers:
        evidence.append(f"Server: {answer.headers['Server']}")
    return kind(subject, reason="status", cause=cause, evidence=evidence, **detail)


def _told(content: bytes) -> list[tuple[str, str]]:
    """Codes and messages of an error body (distribution spec, "Error Codes"); nothing for any other body."""
    try:
        document = json.loads(content)
        errors = document["errors"][:_ERRORS_SHOWN]
        return [(printable(str(error["code"])), printable(_message(error))) for error in errors]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _message(error: dict[str, Any]) -> str:
    message = str(error.get("message") or "")
    detail = error.get("detail")
    return f"{message} ({json.dumps(detail, ensure_ascii=False)})" if detail else message
