"""A container registry and its client."""
