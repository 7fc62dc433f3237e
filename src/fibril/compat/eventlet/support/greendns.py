"""eventlet.support.greendns, served by fibril: its own resolver by these names."""

import importlib
import ipaddress
from typing import Any

from fibril.socket import getaddrinfo, gethostbyname, gethostbyname_ex, getnameinfo

__all__ = [
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "is_ip_addr",
    "is_ipv4_addr",
    "is_ipv6_addr",
]


def is_ipv4_addr(host: str | None) -> bool:
    """Whether it is an address of IPv4."""
    return _is_address(ipaddress.IPv4Address, host)


def is_ipv6_addr(host: str | None) -> bool:
    """Whether it is an address of IPv6, with a scope or without."""
    return _is_address(ipaddress.IPv6Address, host and host.partition("%")[0])


def is_ip_addr(host: str | None) -> bool:
    """Whether it is an address, and no name."""
    return is_ipv4_addr(host) or is_ipv6_addr(host)


def _is_address(kind: Any, host: str | None) -> bool:
    try:
        kind(host)
    except ValueError:
        return False
    return True


def __getattr__(name: str) -> Any:
    if name == "dns":  # dnspython itself, where it is installed
        return importlib.import_module("dns")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: fibril does not have it")
