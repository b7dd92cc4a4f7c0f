"""TLS certificates: reading them, finding what is wrong with them, and making those of a private authority."""

from entrepot.certificates.chain import read_chain

__all__ = ["read_chain"]
