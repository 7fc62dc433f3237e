"""Hubs and fibers seen from outside: read out of the memory of a process, or of its core file.

The reader is given one function, `read(address, size) -> bytes`, and the address of fbl_debug, the
table that csrc/python/inspect/debug.c exports. It runs no code in the process and needs no debug
information. gdb (fibril-gdb.py) lends it the memory of what it debugs.

What is read may be broken, or stopped in the middle of a change: each text, list and chain of
frames is read up to a limit, and what cannot be read says so in its own place.

This file runs in whatever Python a debugger has, so it imports nothing of fibril's.

Switches: never. Threads: any.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

Read = Callable[[int, int], bytes]

_NO_CFRAME = 2**64 - 1
_TAGS = 7  # low bits of a pointer that CPython uses for itself
_TEXT_BYTES_MAX = 4000
_LINES_BYTES_MAX = 1 << 20
_FRAMES_MAX = 100
_FIBERS_MAX = 10_000_000
# No memory there, or not what was expected: a table cut short, a length below zero.
_UNREADABLE = (OSError, IndexError, ValueError, OverflowError)
_STATES = ("new", "running", "suspended", "parked", "done", "lost", "running")  # as in core.h


class Frame(NamedTuple):
    """One Python function that has not returned."""

    file: str
    line: int
    function: str


class Fiber(NamedTuple):
    """One fiber, as it lies in memory."""

    object: int  # address of the Python object, its id()
    title: str  # "task 'pump'"
    state: str  # new, running, suspended, parked
    doing: str  # "waits to get from Queue at 0x…"
    context: tuple[int, int, int] | None  # pc, sp and frame pointer of who is away
    frames: list[Frame]  # innermost first


class Hub(NamedTuple):
    """One native thread that uses fibril."""

    native_thread_id: int  # the kernel's number
    fibers: list[Fiber]  # in the order in which they were made: the main one first


class Memory:
    """The simple things that lie in memory.

    Switches: never. Threads: any.
    """

    def __init__(self, read: Read) -> None:
        self.read = read

    def number(self, address: int, size: int = 8) -> int:
        """The number at `address`."""
        return int.from_bytes(self.read(address, size), "little")

    def pointer(self, address: int) -> int:
        """What the pointer at `address` points to."""
        return self.number(address) & ~_TAGS

    def text(self, address: int) -> str:
        """A C string."""
        found = bytearray()
        while len(found) < _TEXT_BYTES_MAX and b"\0" not in found:
            size = 64 - (address + len(found)) % 64  # never across a page that may be missing
            found += self.read(address + len(found), size)
        return found.split(b"\0")[0].decode("utf-8", "replace")


class Outside:
    """Everything that can be found, beginning at fbl_debug.

    Switches: never. Threads: any.
    """

    def __init__(self, read: Read, fbl_debug: int) -> None:
        self.memory = Memory(read)
        self.at = dict(self._table(fbl_debug))
        if self.at.get("format") != 1:
            raise ValueError("the table fbl_debug is none: is this the memory of a program?")

    def hubs(self) -> list[Hub]:
        """Each hub of the process, with its fibers."""
        return [self._hub(thread) for thread in self._list(self.at["threads"], "thread.threads")]

    def _table(self, address: int) -> Iterator[tuple[str, int]]:
        for entry in itertools.count(address, 16):
            name = self.memory.number(entry)
            if name == 0:
                return
            yield self.memory.text(name), self.memory.number(entry + 8)

    def _field(self, start: int, name: str) -> int:
        return self.memory.number(start + self.at[name])

    def _flag(self, start: int, name: str) -> bool:
        return self.memory.number(start + self.at[name], 1) != 0

    def _list(self, head: int, name: str) -> Iterator[int]:
        """What is chained, by its field `name`, into the ring that begins at `head`."""
        link = self._field(head, "link.next")
        for _ in range(_FIBERS_MAX):
            if link == head:
                return
            yield link - self.at[name]
            link = self._field(link, "link.next")

    # ---- hubs and fibers ----

    def _hub(self, thread: int) -> Hub:
        fibers = self._list(thread + self.at["thread.fibers"], "fiber.all")
        number = self._field(self._field(thread, "thread.ts"), "ts.native_thread_id")
        return Hub(number, [self._fiber_or_none(thread, record) for record in fibers])

    def _fiber_or_none(self, thread: int, record: int) -> Fiber:
        """A fiber, or what can be said of one that is damaged."""
        try:
            return self._fiber(thread, record)
        except _UNREADABLE as error:
            return Fiber(0, "a fiber", "lost", f"is unreadable: {error}", None, [])

    def _fiber(self, thread: int, record: int) -> Fiber:
        is_current = record == self._field(thread, "thread.current")
        state = _STATES[self.memory.number(record + self.at["fiber.state"], 4) % len(_STATES)]
        is_away = not is_current and state in ("suspended", "parked")
        if is_current:
            head = self._field(thread, "thread.ts") + self.at["ts.frame_head"]
        else:
            head = record + self.at["fiber.frame_head"]
        return Fiber(
            self._field(record, "fiber.self"),
            self._title(thread, record),
            "running" if is_current else state,
            self._doing(thread, record, state),
            self._context(record) if is_away else None,
            list(self._frames(head)) if is_away or is_current else [],
        )

    def _context(self, record: int) -> tuple[int, int, int]:
        """Where it goes on, and with which stack pointer and frame pointer."""
        pc, sp, fp = (self._field(record, f"fiber.{name}") for name in ("pc", "sp", "fp"))
        return pc, sp, fp

    def _title(self, thread: int, record: int) -> str:
        if record == self._field(thread, "thread.main"):
            return "main fiber"
        if record == self._field(thread, "thread.hub_fiber"):
            return "hub"
        fiber = self._field(record, "fiber.self")
        if not self._is_instance(fiber, "task_type"):
            return f"fiber {self._callable_name(self._field(record, 'fiber.run'))}".rstrip()
        name = self._field(fiber, "task.name")
        if name:
            return f"task {self._str(name)!r}"
        return f"task {self._callable_name(self._field(fiber, 'task.fn'))}".rstrip()

    def _doing(self, thread: int, record: int, state: str) -> str:
        """What a person wants to know of the fiber's state."""
        is_current = record == self._field(thread, "thread.current")
        if is_current and state != "parked":
            return "runs"
        if self._field(record + self.at["fiber.ready"], "link.next") != (
            record + self.at["fiber.ready"]
        ):
            return "is ready to run" if state != "new" else "is ready to start"
        has_deadline = self._flag(record, "fiber.has_deadline")
        if state == "new":
            return "starts when its time comes" if has_deadline else "has not started"
        if state == "suspended":
            return "was left by a switch by hand"
        return self._waits(record) + (", or for its deadline" if has_deadline else "")

    def _waits(self, record: int) -> str:
        verb = self._field(record, "fiber.verb")
        if verb == 0:
            is_hub = self._is_instance(self._field(record, "fiber.self"), "hub_type")
            return "waits for something to call" if is_hub else "waits"
        subject = self._field(record, "fiber.subject")
        what = f"waits {self.memory.text(verb)}"
        if self._flag(record, "fiber.is_fd_wait"):
            return f"{what} fd {self.memory.number(record + self.at['fiber.fd'], 4)}"
        return f"{what} {self._type_name(subject)} at {subject:#x}" if subject else what

    # ---- frames ----

    def _frames(self, head: int) -> Iterator[Frame]:
        try:
            for number, frame in enumerate(self._chain(head)):
                if number == _FRAMES_MAX:
                    yield Frame("…", 0, f"more than {_FRAMES_MAX} frames")
                    return
                yield self._frame(frame)
        except _UNREADABLE as error:
            yield Frame("?", 0, f"unreadable: {error}")

    def _chain(self, head: int) -> Iterator[int]:
        """The functions' frames; not an eval loop's entries, which lie between them."""
        frame = self.memory.pointer(head)
        if self.at["cframe.frame"] != _NO_CFRAME and frame:
            frame = self._field(frame, "cframe.frame")
        while frame:
            if self.memory.number(frame + self.at["frame.owner"], 1) < self.at["owner.entry"]:
                yield frame
            frame = self._field(frame, "frame.previous")

    def _frame(self, frame: int) -> Frame:
        code = self.memory.pointer(frame + self.at["frame.code"])
        offset = self._field(frame, "frame.instruction") - code - self.at["code.bytes"]
        first = self.memory.number(code + self.at["code.first_line"], 4)
        line = line_at(self._bytes(self._field(code, "code.lines")), first, offset)
        file = self._str(self._field(code, "code.file"))
        return Frame(file, line, self._str(self._field(code, "code.name")))

    # ---- Python's objects ----

    def _type_name(self, address: int) -> str:
        return self.memory.text(self._field(self._field(address, "object.type"), "type.name"))

    def _is_instance(self, address: int, name: str) -> bool:
        kind = self._field(address, "object.type")
        for _ in range(100):
            if kind in (0, self.at[name]):
                break
            kind = self._field(kind, "type.parent")
        return kind == self.at[name]

    def _callable_name(self, address: int) -> str:
        """What a task or fiber runs, in as much as that has a name."""
        if address == 0:
            return ""
        kind = self._field(address, "object.type")
        if kind == self.at["method_type"]:
            return self._callable_name(self._field(address, "method.function"))
        if kind == self.at["function_type"]:
            return self._str(self._field(address, "function.name"))
        return f"of {self._type_name(address)}"

    def _bytes(self, address: int) -> bytes:
        length = self._field(address, "bytes.length")
        return self.memory.read(address + self.at["bytes.data"], min(length, _LINES_BYTES_MAX))

    def _str(self, address: int) -> str:
        length = self._field(address, "str.length")
        flags = self.memory.number(address + self.at["str.flags"])
        mask = self.at["str.kind_bits"]
        width = (flags & mask) // (mask & -mask)  # 1, 2 or 4 bytes a character
        data = "str.ascii_data" if flags & self.at["str.ascii_bits"] else "str.data"
        size = min(length * width, _TEXT_BYTES_MAX)
        raw = self.memory.read(address + self.at[data], size)
        return raw.decode({1: "latin-1", 2: "utf-16-le"}.get(width, "utf-32-le"), "replace")


def line_at(table: bytes, first_line: int, offset: int) -> int:
    """The line of the instruction at a byte offset, by a code object's co_linetable (PEP 626).

    Each entry's first byte, and no other, has the high bit set: 4 bits of kind, 3 bits of length.

    Switches: never. Threads: any.
    """
    line = shown = first_line
    end = at = 0
    while at < len(table) and end <= offset:
        kind = table[at] >> 3 & 15
        end += ((table[at] & 7) + 1) * 2
        if kind in (13, 14):
            line += _signed(table, at + 1)
        elif kind in (11, 12):
            line += kind - 10
        shown = line if kind != 15 else shown
        at += 1
        while at < len(table) and table[at] < 128:
            at += 1
    return shown


def _signed(table: bytes, at: int) -> int:
    """A number of 6-bit groups, lowest first; the sign is the lowest bit of all."""
    value = table[at] & 63
    shift = 6
    while table[at] & 64:
        at += 1
        value |= (table[at] & 63) << shift
        shift += 6
    return -(value >> 1) if value & 1 else value >> 1
