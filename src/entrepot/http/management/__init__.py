"""The management API: who may do what, and what repositories hold, for programs and pages (``/api/v1``)."""

from entrepot.http.management.app import ManagementAPI
from entrepot.http.management.context import PREFIX as MANAGEMENT_PREFIX
from entrepot.http.management.context import Management

__all__ = ["MANAGEMENT_PREFIX", "Management", "ManagementAPI"]
