"""Logins that are kept: docker's and podman's files, programs that keep credentials, proving and storing them."""

from entrepot.client.logins.auth_files import AuthFile, read_auth_file, read_auth_text
from entrepot.client.logins.keeping import Keeping, Kept
from entrepot.client.logins.places import AuthPlaces
from entrepot.client.logins.programs import CredentialProgram
from entrepot.client.logins.stored_credentials import StoredCredentials

__all__ = [
    "AuthFile",
    "AuthPlaces",
    "CredentialProgram",
    "Keeping",
    "Kept",
    "StoredCredentials",
    "read_auth_file",
    "read_auth_text",
]
