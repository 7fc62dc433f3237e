"""What the extension asks of glibc is in every glibc from 2.28 on (RHEL 8, manylinux_2_28).

Each function carries the version of glibc that it is bound to. Where this was built with a newer
one, some are bound to that although older ones have them too: they moved from a library of their
own into libc. Those are known by name; any other is a function that older systems lack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibril import _core

OLDEST = (2, 28)
MOVED = {  # → where it is before that
    (2, 32): dict.fromkeys(("pthread_sigmask", "pthread_getattr_np"), "libpthread"),
    (2, 34): dict.fromkeys(("dlopen", "dlsym", "dlinfo", "dladdr"), "libdl")
    | dict.fromkeys(
        (
            *("pthread_create", "pthread_detach", "pthread_join", "pthread_timedjoin_np"),
            *("pthread_condattr_setclock", "pthread_getattr_np"),
            *("pthread_attr_setstack", "pthread_attr_setguardsize"),
            *("pthread_key_create", "pthread_setspecific"),
        ),
        "libpthread",
    ),
}
DYNSYM, VERNEED, VERSYM = 11, 0x6FFFFFFE, 0x6FFFFFFF


class Elf:
    """The sections of a shared library that tell what it needs: 64 bits, little-endian."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        start, size, count = struct.unpack_from("<40xQ10xHH", data)
        found = [struct.unpack_from("<IIQQQQIIQQ", data, start + size * i) for i in range(count)]
        self.contents = [data[at[4] : at[4] + at[5]] for at in found]
        self.by_type = {at[1]: (self.contents[i], at[6]) for i, at in enumerate(found)}

    def text(self, section: int, at: int) -> str:
        return self.contents[section][at:].split(b"\0", 1)[0].decode()

    def versions(self) -> Iterator[tuple[int, str]]:
        """The number that symbols use for it, and the name: GLIBC_2.34."""
        needs, texts = self.by_type[VERNEED]
        file = 0
        while True:
            _, count, _, first, step = struct.unpack_from("<HHIII", needs, file)
            at = file + first
            for _ in range(count):
                _, _, number, name, next_at = struct.unpack_from("<IHHII", needs, at)
                yield number & 0x7FFF, self.text(texts, name)
                at += next_at
            if not step:
                return
            file += step

    def needed(self) -> Iterator[tuple[str, str]]:
        """Each function and its version."""
        names = dict(self.versions())
        symbols, texts = self.by_type[DYNSYM]
        numbers = struct.unpack(f"<{len(symbols) // 24}H", self.by_type[VERSYM][0])
        for i, number in enumerate(numbers):
            if number & 0x7FFF in names:
                yield self.text(texts, struct.unpack_from("<I", symbols, i * 24)[0]), names[number]


def lacking(needed: list[tuple[str, str]]) -> list[str]:
    """Those that an old glibc does not have."""
    found = []
    for symbol, name in needed:
        library, _, number = name.partition("_")
        version = tuple(int(part) for part in number.split(".")) if library == "GLIBC" else (0,)
        if version > OLDEST and symbol not in MOVED.get(version, ()):
            found.append(f"{symbol}@{name}")
    return found


@pytest.fixture(scope="module")
def needed() -> list[tuple[str, str]]:
    found = list(Elf(Path(_core.__file__).read_bytes()).needed())
    if not any(name.startswith("GLIBC_") for _, name in found):
        pytest.skip("built with another C library")
    return found


def test_the_extension_asks_for_no_function_that_an_older_glibc_lacks(needed):
    assert lacking(needed) == []


def test_what_it_needs_is_seen(needed):
    """Or the test above could not fail."""
    assert {"epoll_ctl", "pipe2"} <= {symbol for symbol, _ in needed}
    assert lacking([*needed, ("epoll_pwait2", "GLIBC_2.35")]) == ["epoll_pwait2@GLIBC_2.35"]
