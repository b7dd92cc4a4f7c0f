"""Logging in with a browser or a device code at an OpenID provider."""

from entrepot.http.login.app import Login
from entrepot.http.login.cookies import SESSION_COOKIE
from entrepot.http.login.return_paths import ReturnPathInvalid, parse_return_path

__all__ = ["SESSION_COOKIE", "Login", "ReturnPathInvalid", "parse_return_path"]
