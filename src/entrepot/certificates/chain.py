"""Certificates in PEM, the server's own first."""

from typing import Final

from cryptography import x509

CHAIN_BYTES_AT_MOST: Final = 1 << 20
CHAIN_LENGTH_AT_MOST: Final = 32
"""Far more than any chain has; a mistaken path may lead to the bundle of all authorities."""


def read_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file in their order, one at least; raises ValueError for anything else."""
    if len(pem) > CHAIN_BYTES_AT_MOST:
        message = "larger than 1 MiB"
        raise ValueError(message)
    found = x509.load_pem_x509_certificates(pem)
    if len(found) > CHAIN_LENGTH_AT_MOST:
        message = "more certificates than a chain has"
        raise ValueError(message)
    return found
