"""Commands for gdb: every fiber of a live process, or of a core file.

    gdb -p PID                  or   gdb PROGRAM CORE
    (gdb) source …/site-packages/fibril/inspect/fibril-gdb.py
    (gdb) fibril-fibers           each hub and its fibers: state, what it waits for, Python frames
    (gdb) fibril-bt 3             the C stack of fiber 3 of that list

`python -c 'import fibril, os; print(os.path.dirname(fibril.__file__))'` says where the file lies.
Nothing runs in the process, and no debug information is needed. A core must be the kernel's
(`ulimit -c unlimited`, then `kill -ABRT PID`): gdb's own `gcore` gives up a whole mapping at the
first page that it cannot read, and each stack begins with its guard.

The idea of fibril-bt: for the length of one `bt`, an unwinder tells gdb that the innermost frame
was called from the place where the parked fiber goes on, with the registers that its context keeps.
From there gdb finds its way by itself. No register is written, so cores work too.
"""

from __future__ import annotations

import os
import re
import runpy
from typing import Any

import gdb
import gdb.unwinder

_reader: dict[str, Any] = runpy.run_path(os.path.join(os.path.dirname(__file__), "outside.py"))

# What a context keeps, as gdb calls it on each machine: where to go on, stack and frame pointer.
_REGISTERS = {"i386:x86-64": ("rip", "rsp", "rbp"), "aarch64": ("pc", "sp", "x29")}


def _read(address: int, size: int) -> bytes:
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except gdb.MemoryError as error:
        raise OSError(str(error)) from None


def _open() -> Any:
    """What is to be seen of the program that gdb looks at."""
    try:
        table = int(gdb.parse_and_eval("(unsigned long)&fbl_debug"))
    except gdb.error as error:
        raise gdb.GdbError(
            f"there is no fibril in this program ({error}). Is it running, and has it imported "
            "fibril? With a core file, name the program too: gdb PYTHON CORE."
        ) from None
    try:
        return _reader["Outside"](_read, table)
    except (OSError, ValueError) as error:
        raise gdb.GdbError(f"cannot read fibril's table: {error}") from None


def _numbered() -> list[tuple[Any, Any]]:
    """Every hub and fiber; a fiber's number is its place here."""
    try:
        return [(hub, fiber) for hub in _open().hubs() for fiber in hub.fibers]
    except OSError as error:
        raise gdb.GdbError(f"cannot read the fibers: {error}") from None


class _Fibers(gdb.Command):  # type: ignore[misc]  # mypy does not see gdb
    """List each hub's fibers: state, what it waits for, and its Python frames, innermost first."""

    def __init__(self) -> None:
        super().__init__("fibril-fibers", gdb.COMMAND_STACK)

    def invoke(self, argument: str, from_tty: bool) -> None:
        del argument, from_tty
        shown = None
        for number, (hub, fiber) in enumerate(_numbered()):
            if hub is not shown:
                print(f"hub of thread {hub.native_thread_id}: {len(hub.fibers)} fibers")
                shown = hub
            print(f"{number:>4}  {fiber.title} at {fiber.object:#x} {fiber.doing}")
            for frame in fiber.frames:
                print(f"        {frame.file}:{frame.line} {frame.function}")


class _Unwinder(gdb.unwinder.Unwinder):  # type: ignore[misc]  # as above
    """Says who called the innermost frame, while fibril-bt has somebody in mind."""

    def __init__(self) -> None:
        super().__init__("fibril")
        self.innermost: tuple[int, ...] | None = None  # those registers in gdb's frame 0
        self.parked: tuple[int, ...] = ()  # the fiber's
        self.registers: tuple[str, ...] = ()

    def __call__(self, frame: Any) -> Any:
        names = self.registers
        if self.innermost is None or self.innermost != _numbers(frame, names):
            return None
        # gdb refuses a caller that lies below its callee: frame 0 takes the fiber's place.
        word = frame.read_register(names[1]).type
        values = [gdb.Value(number).cast(word) for number in self.parked]
        found = frame.create_unwind_info(_FrameId(sp=values[1], pc=values[0]))
        for i, name in enumerate(names):
            found.add_saved_register(name, values[i])
        return found


def _numbers(frame: Any, names: tuple[str, ...]) -> tuple[int, ...]:
    """What is in those registers of a frame."""
    return tuple(int(frame.read_register(name)) & (2**64 - 1) for name in names)


class _FrameId:
    """What gdb tells frames apart by."""

    def __init__(self, sp: Any, pc: Any) -> None:
        self.sp = sp
        self.pc = pc


class _Backtrace(gdb.Command):  # type: ignore[misc]  # as above
    """Show the C stack of fiber N of fibril-fibers. Further words are bt's: fibril-bt 3 -full."""

    def __init__(self, unwinder: _Unwinder) -> None:
        super().__init__("fibril-bt", gdb.COMMAND_STACK)
        self.unwinder = unwinder

    def invoke(self, argument: str, from_tty: bool) -> None:
        del from_tty
        words = argument.split(None, 1)
        fibers = _numbered()
        if not words or not words[0].isdigit() or int(words[0]) >= len(fibers):
            raise gdb.GdbError(
                f"fibril-bt {argument}: say which: 0 to {len(fibers) - 1}, see fibril-fibers."
            )
        hub, fiber = fibers[int(words[0])]
        options = words[1] if len(words) > 1 else ""
        print(f"{fiber.title} at {fiber.object:#x} {fiber.doing}")
        if fiber.state == "running":
            self._show_thread(hub.native_thread_id, options)
        elif fiber.context is None:
            print("It has no stack yet.")
        else:
            self._show_parked(fiber.context, options)

    def _show_thread(self, native_thread_id: int, options: str) -> None:
        former = gdb.selected_thread()
        for thread in gdb.selected_inferior().threads():
            if native_thread_id in thread.ptid[1:]:
                thread.switch()
        gdb.execute(f"bt {options}")
        former.switch()

    def _show_parked(self, context: tuple[int, int, int], options: str) -> None:
        frame = gdb.newest_frame()
        machine = frame.architecture().name()
        if machine not in _REGISTERS:
            raise gdb.GdbError(f"fibril-bt does not know the machine {machine}.")
        names = _REGISTERS[machine]
        unwinder = self.unwinder
        unwinder.registers = names
        unwinder.parked = context
        unwinder.innermost = _numbers(frame, names)
        gdb.invalidate_cached_frames()
        try:
            text = gdb.execute(f"bt {options}", to_string=True)
        finally:
            unwinder.innermost = None
            gdb.invalidate_cached_frames()
        print(_without_first(text), end="")


def _without_first(text: str) -> str:
    """The backtrace without frame 0, which is the thread's and not the fiber's."""
    start = re.search(r"^#1 ", text, re.MULTILINE)
    if start is None:
        return text
    numbers = re.compile(r"^#(\d+)( *)", re.MULTILINE)
    return numbers.sub(lambda match: f"#{int(match[1]) - 1:<3}", text[start.start() :])


def _register() -> None:
    unwinder = _Unwinder()
    gdb.unwinder.register_unwinder(None, unwinder, replace=True)
    _Fibers()
    _Backtrace(unwinder)


_register()
