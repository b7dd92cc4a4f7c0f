"""Forms as OAuth 2.0 has them (RFC 6749 sections 3.2 and 4)."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from entrepot.access import Secret
from entrepot.http.bodies import read_body
from entrepot.http.errors import BodyTooLarge
from entrepot.oci import RequestInvalid

FORM_BYTES_AT_MOST: Final = 64 * 1024  # twice the longest scopes, a password and a token of an issuer

_FIELDS_AT_MOST = 128
_CONTENT_TYPE = "application/x-www-form-urlencoded"
_REPEATABLE = frozenset({"scope", "resource", "audience"})


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a request; an empty one counts as absent (RFC 6749 section 3.2)."""

    fields: tuple[tuple[str, Secret], ...]

    def text(self, name: str) -> str | None:
        """The value of a field that is no secret; None without one."""
        found = self.secret(name)
        return None if found is None else found.reveal()

    def needed(self, name: str) -> str:
        """Likewise; raises RequestInvalid naming the field without one."""
        return self.needed_secret(name).reveal()

    def secret(self, name: str) -> Secret | None:
        """The value of a field; None without one."""
        return next((value for field, value in self.fields if field == name), None)

    def needed_secret(self, name: str) -> Secret:
        """Likewise; raises RequestInvalid naming the field without one."""
        found = self.secret(name)
        if found is None:
            raise RequestInvalid(reason="missing", field=name)
        return found

    def all(self, name: str) -> list[str]:
        """The values of a field that may come more than once."""
        return [value.reveal() for field, value in self.fields if field == name]


async def read_form(request: Request) -> Form:
    """The form in a request's body.

    Raises RequestInvalid for another content type, for what is no form, and for a field that comes twice; BodyTooLarge.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _CONTENT_TYPE:
        raise RequestInvalid(reason="content-type", wanted=_CONTENT_TYPE)
    body = await read_body(request, at_most=FORM_BYTES_AT_MOST, too_large=BodyTooLarge)
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=_FIELDS_AT_MOST, errors="strict")
    except ValueError:
        raise RequestInvalid(reason="form") from None
    names = [name for name, _ in pairs if name not in _REPEATABLE]
    if len(names) != len(set(names)):
        raise RequestInvalid(reason="repeated")
    return Form(tuple((name, Secret(value)) for name, value in pairs))
