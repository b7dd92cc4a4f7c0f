"""The token endpoint (Docker registry v2 authentication, "Token Authentication"), and the keys of its tokens."""

from entrepot.http.tokens.endpoint import TokenEndpoint
from entrepot.http.tokens.forms import Form, read_form
from entrepot.http.tokens.get_token import GetToken
from entrepot.http.tokens.key_set import KEY_SET_PATH, KeySetPage
from entrepot.http.tokens.post_token import PostToken

__all__ = ["KEY_SET_PATH", "Form", "GetToken", "KeySetPage", "PostToken", "TokenEndpoint", "read_form"]
