"""What this client, docker, podman and containerd have been told about registries, in the files of each."""

from entrepot.client.configuration.configured_origins import ConfiguredOrigins
from entrepot.client.configuration.places import ConfigurationPlaces

__all__ = ["ConfigurationPlaces", "ConfiguredOrigins"]
