"""``entrepot admin``: administering a registry on its data, beside a running server or without one."""

from entrepot.cli.server.admin.commands import admin

__all__ = ["admin"]
