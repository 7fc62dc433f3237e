"""eventlet.support.greendns, served by fibril: its own resolver by these names."""

from fibril.socket import getaddrinfo, gethostbyname, gethostbyname_ex, getnameinfo

__all__ = ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo", "is_ipv6_addr"]


def is_ipv6_addr(host: str) -> bool:
    """Whether it is an address of IPv6, with a scope or without."""
    import ipaddress

    try:
        ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    return True
