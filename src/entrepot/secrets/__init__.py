"""Text that must not be shown, as a type of its own; standard library only."""

from entrepot.secrets.secret import Secret

__all__ = ["Secret"]
