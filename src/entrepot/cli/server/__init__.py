"""Commands for those who run a registry."""
