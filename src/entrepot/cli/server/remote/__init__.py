"""Administering a registry elsewhere through its management API, with the same calls as on the data itself."""

from entrepot.cli.server.remote.administration import RemoteAdministration, opened_remote
from entrepot.cli.server.remote.login import SERVER_OPTIONS, Server

__all__ = ["SERVER_OPTIONS", "RemoteAdministration", "Server", "opened_remote"]
