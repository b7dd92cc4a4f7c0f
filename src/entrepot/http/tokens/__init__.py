"""The token endpoint (Docker registry v2 authentication, "Token Authentication")."""

from entrepot.http.tokens.get_token import GetToken

__all__ = ["GetToken"]
