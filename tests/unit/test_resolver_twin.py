"""Every function that takes a host answers, and refuses, as the standard library's own does.

The hosts are those that need no network: this machine's, and what is refused before anybody is
asked.
"""

import itertools
import socket as stdlib
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import socket


class Text(str):
    """A str all the same."""


class Number:
    """What can be used as a number."""

    def __index__(self) -> int:
        return 1


class Sequence:
    """A sequence, and no tuple."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, place: int) -> Any:
        return ("127.0.0.1", 1)[place]


HUGE = 2**70
LONG = "a" * 70 + ".localhost"
LOCAL = [
    "localhost", Text("localhost"), b"localhost", bytearray(b"localhost"), "lo\xadcalhost",
    "127.0.0.1", b"127.0.0.1", bytearray(b"127.0.0.1"),
]  # fmt: skip
NUMERIC = [
    "", b"", bytearray(), "<broadcast>", b"<broadcast>", "255.255.255.255", "127.1",
    "::1", "::1%lo",
]  # fmt: skip
REFUSED = [
    memoryview(b"localhost"), None, 7, 1.5, object, ["x"], (), {}, LONG, "\udc80", "...", "a..b",
]  # fmt: skip
NULS = ["x\0y", b"x\0y", bytearray(b"x\0y")]  # which getaddrinfo() takes for their beginning
PORTS = [
    80, "80", b"80", "http", "no such service", None, -1, 65536, HUGE, -HUGE, 1.5, "", True,
    bytearray(b"80"), Number(), object, "8\0", "\udc80",
]  # fmt: skip
NUMBERS = [0, -1, 99, HUGE, 1.5, "1", None, True, Number(), 2**31, object]


def outcome(function: Callable[..., Any], *args: Any, **names: Any) -> Any:
    """What it returns; or its exception, whose text names no address in memory."""
    try:
        return function(*args, **names)
    except Exception as error:
        return type(error), str(error), getattr(error, "errno", None)


def compare(name: str, *args: Any, **names: Any) -> None:
    ours, plain = (outcome(getattr(module, name), *args, **names) for module in (socket, stdlib))
    assert ours == plain, (name, args, names)


@pytest.mark.parametrize("host", [*LOCAL, *NUMERIC, *REFUSED, *NULS], ids=repr)
def test_a_host_has_an_address(fresh: None, host: Any) -> None:
    for name in ("gethostbyname", "gethostbyname_ex"):
        compare(name, host)
    if host not in NULS:
        for family in (0, stdlib.AF_INET):
            compare("getaddrinfo", host, 80, family)
            compare("getaddrinfo", host, 80, family, stdlib.SOCK_STREAM, 0, stdlib.AI_NUMERICHOST)
        compare("getaddrinfo", host, None)
    if host in NUMERIC:
        compare("getaddrinfo", host, 80, stdlib.AF_INET6)


@pytest.mark.parametrize("host", [*LOCAL, *REFUSED, *NULS], ids=repr)
def test_an_address_has_a_host(fresh: None, host: Any) -> None:
    compare("gethostbyaddr", host)
    if host:  # else it is this machine's name, which it may have to ask for
        compare("getfqdn", host)


@pytest.mark.parametrize("port", PORTS, ids=repr)
def test_ports(fresh: None, port: Any) -> None:
    for host in ("localhost", "127.0.0.1", None, bytearray(b"x"), 7):
        compare("getaddrinfo", host, port)
        compare("getaddrinfo", host, port, 0, stdlib.SOCK_STREAM, 0, stdlib.AI_NUMERICSERV)
    compare("getnameinfo", ("127.0.0.1", port), stdlib.NI_NUMERICSERV)


@pytest.mark.parametrize("place", range(4))
def test_family_kind_protocol_and_flags(fresh: None, place: int) -> None:
    options = ["family", "type", "proto", "flags"]
    for host, number in itertools.product(("localhost", "127.0.0.1", 7), NUMBERS):
        given = [0, 0, 0, 0]
        given[place] = number
        compare("getaddrinfo", host, 80, *given)
        compare("getaddrinfo", host, 80, **{options[place]: number})
    compare("getaddrinfo", host="localhost", port="80", type=stdlib.SOCK_DGRAM)
    compare("getaddrinfo", "localhost", 80, 0, stdlib.SOCK_DGRAM, 0, stdlib.AI_CANONNAME)


ADDRESSES = [
    ("127.0.0.1", 80), ("::1", 80), ("::1", 80, 0, 0), ("::1", 80, HUGE, 0), ("::1", 80, 0, HUGE),
    ("::1", 80, -1), ("localhost", 80), ("127.0.0.1",), (), ("127.0.0.1", 80, 0, 0),
    ("127.0.0.1", 80, 0, 0, 0), ["127.0.0.1", 80], "127.0.0.1", None, 7, (b"127.0.0.1", 80),
    (bytearray(b"127.0.0.1"), 80), (7, 80), (None, 80), ("127.0.0.1", "http"), Sequence(),
    ("x\0y", 80), (LONG, 80), (memoryview(b"127.0.0.1"), 80),
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES, ids=repr)
def test_addresses(fresh: None, address: Any) -> None:
    numeric = [stdlib.NI_NUMERICHOST, stdlib.NI_NUMERICHOST | stdlib.NI_DGRAM, 1.5, "1", HUGE, None]
    named = [0, stdlib.NI_NUMERICSERV, stdlib.NI_DGRAM, *NUMBERS]
    # Whose name is in no file of every machine is asked for without.
    for flags in numeric if "::1" in str(address) else [*numeric, *named]:
        compare("getnameinfo", address, flags)


@pytest.mark.parametrize("name", ["getaddrinfo", "gethostbyname", "gethostbyname_ex"])
def test_too_few_or_too_many_arguments_are_an_error(fresh: None, name: str) -> None:
    """CPython words it in several ways."""
    for args in ((), ("localhost",) * 9):
        with pytest.raises(TypeError):
            getattr(socket, name)(*args)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


WAYS: list[tuple[str, tuple[Any, ...]]] = [
    ("connect", ()), ("connect_ex", ()), ("bind", ()), ("sendto", (b"x",)), ("sendto", (b"x", 0)),
    ("sendmsg", ([b"x"], [], 0)),
]  # fmt: skip


def compare_sockets(family: int, name: str, *args: Any) -> None:
    outcomes = []
    for module in (socket, stdlib):
        with module.socket(family, stdlib.SOCK_DGRAM) as sock:
            outcomes.append(outcome(getattr(sock, name), *args))
    assert outcomes[0] == outcomes[1], (family, name, args)


@pytest.mark.parametrize("host", [*LOCAL, *NUMERIC, *REFUSED, *NULS], ids=repr)
def test_hosts_that_are_connected_to(fresh: None, host: Any) -> None:
    port = closed_port()
    if host not in NULS:
        compare("create_connection", (host, port), 5)
    for name, before in WAYS:
        compare_sockets(stdlib.AF_INET, name, *before, (host, port))
        if host not in LOCAL:
            compare_sockets(stdlib.AF_INET6, name, *before, (host, port))


# Where somebody may listen, a connection is not tried.
VAIN = [each for each in PORTS if each not in (80, True, "80", b"80", "http")]


@pytest.mark.parametrize("port", VAIN, ids=repr)
def test_ports_that_are_connected_to(fresh: None, port: Any) -> None:
    for host in ("localhost", "127.0.0.1", 7, bytearray(b"localhost")):
        compare("create_connection", (host, port), 5)
        compare_sockets(stdlib.AF_INET, "connect", (host, port))


@pytest.mark.parametrize("address", ADDRESSES, ids=repr)
def test_addresses_that_are_connected_to(fresh: None, address: Any) -> None:
    compare("create_connection", address, 0)
    compare_sockets(stdlib.AF_INET, "connect", address)


def test_what_is_asked_for_may_be_changed_while_it_is_looked_up(fresh: None) -> None:
    host = bytearray(b"localhost")
    task = fibril.spawn(socket.gethostbyname, host)
    fibril.sleep(0)
    host[:] = b"no!!!!!!!"
    assert task.get() == stdlib.gethostbyname("localhost")
