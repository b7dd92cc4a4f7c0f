"""What an address says about where it is."""

import ipaddress


def is_inner(address: str) -> bool:
    """Whether an address is not of the public internet: loopback, private, link-local, reserved."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if embedded is not None:
            parsed = embedded
    return not parsed.is_global or parsed.is_multicast


def is_loopback(host: str) -> bool:
    """Whether a host as it is written is this machine: ``localhost``, 127.0.0.0/8, ``::1``."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
