"""``entrepot tls``: certificates for the server, and what is wrong with one."""

from entrepot.cli.server.tls.commands import tls

__all__ = ["tls"]
