"""The token endpoint (Docker registry v2 authentication, "Token Authentication"), and the keys of its tokens."""

from entrepot.http.tokens.get_token import GetToken
from entrepot.http.tokens.key_set import KEY_SET_PATH, KeySetPage

__all__ = ["KEY_SET_PATH", "GetToken", "KeySetPage"]
