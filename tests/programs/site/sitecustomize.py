"""What the tests change in a child interpreter before the program under test starts.

The programs of `examples/seed` are run as they were written: they sleep for whole seconds, ask for
a public host by name and draw random numbers. This module is put on the child's PYTHONPATH, where
the interpreter imports it at start, and changes the world around them instead, each part only when
its variable is set:

- FIBRIL_TEST_SLEEP_FACTOR  every time.sleep(s) becomes s * factor, whoever patches time.sleep later
- FIBRIL_TEST_HOST          `name=address:port`: that one name, asked with any port, is our server
- FIBRIL_TEST_SEED          seeds the random module

Invariant: nothing here knows fibril, gevent or greenlet.
"""

import _socket
import functools
import os
import random
import time
import types
from collections.abc import Callable
from typing import Any

Sleep = Callable[[float], None]


def shorten_sleep(factor: float) -> None:
    """Make `sleep` a property of the time module, so that a later patch is shortened as well."""

    def short(sleep: Sleep, seconds: float) -> None:
        sleep(seconds * factor)

    class ShortTime(types.ModuleType):
        @property
        def sleep(self) -> Sleep:
            return functools.partial(short, self.__dict__["sleep"])

        @sleep.setter
        def sleep(self, sleep: Sleep) -> None:
            self.__dict__["sleep"] = sleep

    time.__class__ = ShortTime


def redirect_host(name: str, address: str, port: int) -> None:
    """Answer `name`, whatever the port, with `address` and `port`; every other name as before."""
    lookup = _socket.getaddrinfo

    def getaddrinfo(host: Any, service: Any, *args: Any, **kwargs: Any) -> Any:
        if host in (name, name.encode()):
            return lookup(address, port, *args, **kwargs)
        return lookup(host, service, *args, **kwargs)

    vars(_socket)["getaddrinfo"] = getaddrinfo


if factor_text := os.environ.get("FIBRIL_TEST_SLEEP_FACTOR"):
    shorten_sleep(float(factor_text))
if host_text := os.environ.get("FIBRIL_TEST_HOST"):
    host_name, _, endpoint = host_text.partition("=")
    host_address, _, host_port = endpoint.rpartition(":")
    redirect_host(host_name, host_address, int(host_port))
if seed_text := os.environ.get("FIBRIL_TEST_SEED"):
    random.seed(int(seed_text))
