"""The distribution API under ``/v2/`` (OCI distribution spec, and Docker's registry API where clients need it)."""

from entrepot.http.distribution.app import Distribution
from entrepot.http.distribution.context import Context, ListLimits

__all__ = ["Context", "Distribution", "ListLimits"]
