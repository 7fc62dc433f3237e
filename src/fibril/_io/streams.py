"""File objects that several tasks use: `io`'s own, whose methods are called in turn.

The idea: the types stay what they are, and what their methods call is replaced in place, in C
(csrc/python/io/stream/): so the files that are open already are served, and whoever asks for a type
finds the one that he knows. What lies beneath a socket's file is written in Python; it tells what
it has written, and keeps what was read in vain.
Do not add: files on disks (fibril.fileobject).
"""

import functools
import io
from socket import SocketIO
from typing import Any

from fibril import _core
from fibril._io.prompt import read_line

__all__ = ["take_turns", "wait_in_files"]

_native_readinto, _native_write = SocketIO.readinto, SocketIO.write


@functools.cache  # once: each change of a class costs those who call its methods
def take_turns() -> None:
    """From now on one task at a time is in a buffered file, or one of text; the others wait.

    Switches: never. Threads: any.
    """
    _core.streams_take_turns(
        io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper, SocketIO
    )
    SocketIO.readinto, SocketIO.write = _readinto, _write  # type: ignore[method-assign]


def wait_in_files() -> None:
    """From now on files on pipes, terminals and sockets let others run while they wait.

    Switches: never. Threads: any.
    """
    from fibril._io.disk import open_file  # what only patched programs need

    take_turns()
    _core.raw_files_wait(io.FileIO, read_line, open_file)


def _readinto(self: SocketIO, b: Any) -> int | None:
    kept = _core.stream_unread(self)
    if kept is not None:
        view = memoryview(b).cast("B")
        count = min(len(view), len(kept))
        view[:count] = kept[:count]
        _core.stream_keep(self, kept[count:])
        return count
    try:
        return _native_readinto(self, b)
    except BaseException as error:
        if _core.stream_strike(self, error):
            return None
        raise


def _write(self: SocketIO, b: Any) -> int | None:
    count = _native_write(self, b)
    if count:
        _core.stream_wrote(b, count)
    return count
