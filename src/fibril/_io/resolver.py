"""Name resolution: numeric hosts at once, names in native threads of their own.

The idea: the C library's resolver blocks, so it runs in native threads, and look-ups that ask the
same thing at the same time are one look-up: a thousand tasks that connect to one host cost one
thread. The answers are the C library's own, so /etc/hosts, nsswitch.conf and the search list count.

Invariants: a numeric host never leaves the thread. Nothing is cached: an answer serves only those
who asked before the first who waited for it was told. (Not: before it was there. Of ten thousand
tasks that begin to ask, the last would ask for what the first are about to be told.) `_socket`'s
functions are read when called, never kept.
Callers: hosts.py, which asks the program's own resolver if it has one.
Do not add: a resolver that speaks DNS by itself; it would differ from what the system says.
"""

from __future__ import annotations

import _socket
import copy
import os
import socket as stdlib
import warnings
from _socket import AF_INET, AF_INET6, AI_NUMERICHOST, EAI_NONAME, NI_NUMERICHOST
from collections.abc import Callable
from functools import partial
from operator import index
from typing import Any, Literal, NoReturn

from fibril import _core
from fibril.dispatch.workers import Workers
from fibril.event import AsyncResult

__all__ = [
    "BlockingResolver",
    "Resolver",
    "SystemResolver",
    "getaddrinfo",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "numeric_address",
]

# Family, kind, protocol, canonical name, address; the last is for a Python without IPv6.
_Ipv4 = tuple[Literal[stdlib.AddressFamily.AF_INET], stdlib.SocketKind, int, str, tuple[str, int]]
_Ipv6 = tuple[
    Literal[stdlib.AddressFamily.AF_INET6],
    stdlib.SocketKind,
    int,
    str,
    tuple[str, int, int, int] | tuple[int, bytes],
]
THREADS_MAX = 32  # slow look-ups that do not hold up the next one

_workers = Workers(THREADS_MAX)
_lookups: dict[object, _Lookup] = {}  # by what they ask
os.register_at_fork(after_in_child=_lookups.clear)  # their threads stayed in the parent


class _Lookup(AsyncResult):
    """One question, from the first who asks until he is told. He has let all run who were ready to
    ask the same; the others are told as soon as it is known, and may overtake such."""

    def __init__(self, key: object) -> None:
        super().__init__()
        self.key = key
        self.askers: list[None] = []  # one for each; appending and popping are whole under the GIL
        self.is_orphaned = False  # the first was killed: whoever is told ends it

    def end(self) -> None:
        """Who asks from now on asks anew. Of two threads that began to ask at the same moment, each
        may have put in one of its own, so it may be the other's that is there."""
        if _lookups.get(self.key) is self:
            del _lookups[self.key]


def _answer(lookup: _Lookup, call: Callable[[], Any]) -> None:
    """Make the call, in a worker, or say why none can; tell everybody who waits for its answer."""
    try:
        lookup.set(call())
    except BaseException as error:
        lookup.set_exception(copy.copy(error))  # its traceback has us: no cycle
    if not lookup.askers:  # all were killed, and nobody else ends it
        lookup.end()


def _begin(lookup: _Lookup, call: Callable[[], Any]) -> None:
    """Have a worker make the call. It may be faster than we: those who are ready run first, who may
    be about to ask the same."""
    try:
        _workers.submit(partial(_answer, lookup, call))
    except RuntimeError as error:  # no thread can be started: others may wait for it already
        _answer(lookup, partial(_refuse, error))
    _core.sleep(0)


def _refuse(error: BaseException) -> NoReturn:
    raise error


def _look_up(name: str, *args: Any) -> Any:
    """_socket.<name>(*args) in a native thread, shared with whoever asks the same now."""
    key = (name, *args)
    try:
        lookup = _lookups.get(key)
    except TypeError:  # a bytearray, or whatever the real call will refuse
        lookup = key = None  # type: ignore[assignment]
    is_first = lookup is None
    if lookup is None:
        lookup = _Lookup(key)
        if key is not None:
            _lookups[key] = lookup
    hub = _core.get_hub()
    hub.expect(1)  # the answer: so it is no dead end, and hub.join() waits for it
    lookup.askers.append(None)
    try:
        if is_first:
            _begin(lookup, partial(getattr(_socket, name), *args))
        lookup.wait()
    finally:
        hub.expect(-1)
        lookup.askers.pop()
        if is_first and not lookup.ready():
            lookup.is_orphaned = True
        elif is_first or (lookup.is_orphaned and lookup.ready()):
            lookup.end()
    if lookup.exception is not None:
        raise copy.copy(lookup.exception)  # each who waits has a traceback of his own
    return copy.copy(lookup.value)


def _is_numeric(host: str | bytes, family: int) -> bool:
    if host in _SPECIAL:
        return True
    try:
        _socket.getaddrinfo(host, None, family, 0, 0, AI_NUMERICHOST)
    except OSError:
        return False
    return True


def _find_addresses(host: Any, port: Any, *options: int) -> list[Any]:
    family, kind, proto, flags = options
    flags = index(flags)
    try:
        return _socket.getaddrinfo(host, port, family, kind, proto, flags | AI_NUMERICHOST)
    except stdlib.gaierror as error:
        if host is None or flags & AI_NUMERICHOST or error.errno != EAI_NONAME:
            raise
    return _look_up("getaddrinfo", host, port, *options)  # type: ignore[no-any-return]


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
    found = _find_addresses(host, port, family, type, proto, flags)
    return [
        (_member(stdlib.AddressFamily, one), _member(stdlib.SocketKind, two), *rest)
        for one, two, *rest in found
    ]


def _member(enum: Any, number: int) -> Any:
    try:
        return enum(number)
    except ValueError:
        return number


def _ask(name: str, host: Any, *, is_address: bool = False) -> Any:
    """_socket.<name>(host): what it will refuse at once it is given as it is, words and all."""
    if isinstance(host, bytearray) and 0 not in host:
        host = bytes(host)  # it may change while the look-up lasts
    if not isinstance(host, str | bytes) or (not is_address and _is_numeric(host, AF_INET)):
        return getattr(_socket, name)(host)
    return _look_up(name, host)


def gethostbyname(hostname: str, /) -> str:
    """An IPv4 address of a host, as `socket.gethostbyname` gives and raises it.

    Switches: if it must wait, which a numeric host never does. Threads: any.
    """
    return _ask("gethostbyname", hostname)  # type: ignore[no-any-return]


def gethostbyname_ex(hostname: str, /) -> tuple[str, list[str], list[str]]:
    """A host's name, aliases and IPv4 addresses, as `socket.gethostbyname_ex` gives them.

    Switches: if it must wait, which a numeric host never does. Threads: any.
    """
    return _ask("gethostbyname_ex", hostname)  # type: ignore[no-any-return]


def gethostbyaddr(ip_address: str, /) -> tuple[str, list[str], list[str]]:
    """The name, aliases and addresses of an address, as `socket.gethostbyaddr` gives them.

    Switches: always. Threads: any.
    """
    return _ask("gethostbyaddr", ip_address, is_address=True)  # type: ignore[no-any-return]


def getnameinfo(sockaddr: Any, flags: int, /) -> tuple[str, str]:
    """The host and service names of an address, as `socket.getnameinfo` gives and raises them.

    Switches: if it must wait, which it never does with NI_NUMERICHOST. Threads: any.
    """
    if index(flags) & NI_NUMERICHOST or not isinstance(sockaddr, tuple):
        return _socket.getnameinfo(sockaddr, flags)
    return _look_up("getnameinfo", sockaddr, flags)  # type: ignore[no-any-return]


def numeric_address(sock: _socket.socket, address: Any, chosen: Any = None) -> Any:
    """The address with its host's name, if it has one, replaced by what the socket can connect to.

    chosen: who is asked for it, an object with a `getaddrinfo`; None: the system.
    What is not an internet address is returned as it is, for the system to judge.

    Switches: if it must wait, which a numeric host never does. Threads: any.
    """
    family = _family(sock)
    if family not in _LENGTHS or not isinstance(address, tuple):
        return address
    host = _name_in(address) if len(address) in _LENGTHS[family] else None
    if host is None or _is_numeric(host, family):
        return address
    if chosen is not None:
        found = chosen.getaddrinfo(host.decode("ascii"), None, family)
    else:
        found = _look_up("getaddrinfo", host, None, family, 0, 0, 0)
    return (found[0][4][0], *address[1:])


def _name_in(address: tuple[Any, ...]) -> bytes | None:
    """The host that `connect` would look up; None where it refuses the address before it does."""
    host = address[0]
    try:
        numbers = [index(each) for each in address[1:]]
        if isinstance(host, str):  # as CPython does: not all that is ASCII can be encoded
            host = host.encode("ascii" if host.isascii() else "idna")
    except (TypeError, UnicodeError):
        return None
    is_name = isinstance(host, bytes | bytearray) and 0 not in host
    return bytes(host) if is_name and abs(numbers[0]) < _INT_MAX else None


_SPECIAL = ("", "<broadcast>", b"", b"<broadcast>", "255.255.255.255", b"255.255.255.255")
_LENGTHS = {AF_INET: (2,), AF_INET6: (2, 3, 4)}  # of addresses
_INT_MAX = 2**31
_family = vars(_socket.socket)["family"].__get__  # the plain number: an enum member costs 1 µs


# ---- gevent's objects ----


class Resolver:
    """The functions of this module as an object, which a hub's `resolver` is.

    Switches: if it must wait. Threads: any.

    >>> from fibril._io.resolver import Resolver
    >>> Resolver().gethostbyname("127.0.0.1")
    '127.0.0.1'
    """

    def __init__(self, hub: _core.Hub | None = None) -> None:
        pass  # the threads that look names up are the process's

    getaddrinfo = staticmethod(getaddrinfo)
    gethostbyname = staticmethod(gethostbyname)
    gethostbyname_ex = staticmethod(gethostbyname_ex)
    gethostbyaddr = staticmethod(gethostbyaddr)
    getnameinfo = staticmethod(getnameinfo)

    def close(self) -> None:
        """Nothing: other hubs use the same threads."""


class SystemResolver(Resolver):
    """The same where a program asks for gevent's resolver that speaks DNS by itself.

    Its options (servers, timeout, …) change nothing: the system is asked, and /etc/resolv.conf says
    whom and how long. Whoever gives some is told.

    Switches: if it must wait. Threads: any.
    """

    def __init__(
        self, hub: _core.Hub | None = None, use_environ: bool = True, **kwargs: Any
    ) -> None:
        if kwargs:
            warnings.warn(
                f"no effect: {', '.join(sorted(kwargs))}. Names are looked up by the system; "
                "/etc/resolv.conf says how.",
                RuntimeWarning,
                stacklevel=2,
            )
        super().__init__(hub)


class BlockingResolver(Resolver):
    """The standard library's own functions, which keep the native thread until they are done.

    Switches: never. Threads: any.
    """

    getaddrinfo = staticmethod(stdlib.getaddrinfo)
    gethostbyname = staticmethod(_socket.gethostbyname)
    gethostbyname_ex = staticmethod(_socket.gethostbyname_ex)
    gethostbyaddr = staticmethod(_socket.gethostbyaddr)
    getnameinfo = staticmethod(_socket.getnameinfo)
