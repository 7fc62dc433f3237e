"""Names of hosts, as programs ask for them: `socket.getaddrinfo` and its kind.

The idea: whoever the program has put into its hub's `resolver` is asked; if nobody, resolver.py is.
A resolver of the program's may call resolver.py in turn, which never looks here.
Do not add: how a name is looked up.
"""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING, Any

from fibril import _core
from fibril._builtin import builtin
from fibril._io import resolver

if TYPE_CHECKING:
    from fibril._io.resolver import _Ipv4, _Ipv6

__all__ = [
    "getaddrinfo",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "numeric_address",
]


def _chosen() -> Any:
    """What the program has put into this thread's hub as its resolver, or None."""
    return getattr(_core.get_hub_if_exists(), "chosen_resolver", None)


def getaddrinfo(
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[_Ipv4 | _Ipv6]:
    """The addresses of a host and port, as `socket.getaddrinfo` gives and raises them.

    Switches: if it must wait, which a numeric host never does. Threads: any.

    >>> from fibril import socket
    >>> socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4]
    ('127.0.0.1', 80)
    """
    found: list[_Ipv4 | _Ipv6] = (_chosen() or resolver).getaddrinfo(
        host, port, family, type, proto, flags
    )
    return found


@builtin
def gethostbyname(hostname: str, /) -> str:
    """An IPv4 address of a host, as `socket.gethostbyname` gives and raises it.

    Switches: if it must wait, which a numeric host never does. Threads: any.
    """
    return (_chosen() or resolver).gethostbyname(hostname)  # type: ignore[no-any-return]


@builtin
def gethostbyname_ex(hostname: str, /) -> tuple[str, list[str], list[str]]:
    """A host's name, aliases and IPv4 addresses, as `socket.gethostbyname_ex` gives them.

    Switches: if it must wait, which a numeric host never does. Threads: any.
    """
    return (_chosen() or resolver).gethostbyname_ex(hostname)  # type: ignore[no-any-return]


@builtin
def gethostbyaddr(ip_address: str, /) -> tuple[str, list[str], list[str]]:
    """The name, aliases and addresses of an address, as `socket.gethostbyaddr` gives them.

    Switches: always. Threads: any.
    """
    return (_chosen() or resolver).gethostbyaddr(ip_address)  # type: ignore[no-any-return]


@builtin
def getnameinfo(sockaddr: Any, flags: int, /) -> tuple[str, str]:
    """The host and service names of an address, as `socket.getnameinfo` gives and raises them.

    Switches: if it must wait, which it never does with NI_NUMERICHOST. Threads: any.
    """
    return (_chosen() or resolver).getnameinfo(sockaddr, flags)  # type: ignore[no-any-return]


def numeric_address(sock: _socket.socket, address: Any) -> Any:
    """The address with its host's name, if it has one, replaced by what the socket can connect to.

    What is not an internet address is returned as it is, for the system to judge.

    Switches: if it must wait, which a numeric host never does. Threads: any.
    """
    return resolver.numeric_address(sock, address, _chosen())
