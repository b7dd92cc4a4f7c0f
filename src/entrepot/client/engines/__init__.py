"""The daemons of docker and podman, which hand images out and take them as archives."""

from entrepot.client.engines.engine import Engine
from entrepot.client.engines.places import EnginePlace

__all__ = ["Engine", "EnginePlace"]
