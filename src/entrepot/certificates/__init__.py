"""TLS certificates: reading them, finding what is wrong with them, and making those of a private authority."""

from entrepot.certificates.authority import SERVER_LIFETIME, Signed, issue, make_authority
from entrepot.certificates.chain import read_chain
from entrepot.certificates.checking import Facts, Fault, facts_of, faults_of, key_fits

__all__ = [
    "SERVER_LIFETIME",
    "Facts",
    "Fault",
    "Signed",
    "facts_of",
    "faults_of",
    "issue",
    "key_fits",
    "make_authority",
    "read_chain",
]
