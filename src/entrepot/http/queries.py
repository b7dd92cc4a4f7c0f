"""The query of a request, read strictly."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from entrepot.oci import RequestInvalid


def query_of(request: Request) -> list[tuple[str, str]]:
    """The query's parameters in order, as many as the server's cap on targets lets through.

    Raises RequestInvalid for what is not UTF-8.
    """
    try:
        return parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise RequestInvalid(reason="query") from None


def parameter(query: list[tuple[str, str]], key: str) -> str | None:
    """The value of a parameter, the last one if it comes again; None if it is absent or empty."""
    return next((value for name, value in reversed(query) if name == key), None) or None
