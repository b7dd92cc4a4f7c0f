"""A repository of a registry as a target."""

from entrepot.client.targets.registry.repository import RegistryRepository
from entrepot.client.targets.registry.uploads import ChunkSize, UploadSettings

__all__ = ["ChunkSize", "RegistryRepository", "UploadSettings"]
