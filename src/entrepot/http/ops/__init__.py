"""Health and numbers, for the people and machines that run the registry."""

from entrepot.http.ops.app import OPS_PATHS, Authorize, Check, Gauge, ops_app

__all__ = ["OPS_PATHS", "Authorize", "Check", "Gauge", "ops_app"]
