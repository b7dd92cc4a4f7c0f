"""The client: images between registries, layouts and archives."""
