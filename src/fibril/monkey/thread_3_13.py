"""What the `threading` of Python 3.13 needs, and later ones too, to have threads that are tasks.

The idea: there a thread is known to `threading` by a handle that tells whether it is done. The
class below is such a handle for a task.

Invariant: who is done stays done. A handle belongs to no native thread in particular.
Do not add: what 3.11 needs as well; that is in the table and in locks.py.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from fibril import _core
from fibril._builtin import builtin
from fibril.local import local
from fibril.thread import get_ident, start_new_thread

__all__ = ["PATCHES", "Handle", "adopt"]

PATCHES = [
    ("_thread", "lock", "fibril.thread", "LockType"),
    ("_thread", "start_joinable_thread", "fibril.monkey.thread_3_13", "start_joinable_thread"),
    ("_thread", "_ThreadHandle", "fibril.monkey.thread_3_13", "Handle"),
    ("_thread", "_make_thread_handle", "fibril.monkey.thread_3_13", "make_handle"),
    ("threading", "_LockType", "fibril.thread", "LockType"),
    ("threading", "_start_joinable_thread", "fibril.monkey.thread_3_13", "start_joinable_thread"),
    ("threading", "_ThreadHandle", "fibril.monkey.thread_3_13", "Handle"),
    ("threading", "_make_thread_handle", "fibril.monkey.thread_3_13", "make_handle"),
    ("threading", "_thread_shutdown", "fibril.monkey.thread_3_13", "shut_down"),
    ("threading", "_thread_local_info", "fibril.monkey.thread_3_13", "thread_local_info"),
    ("threading", "_get_main_thread_ident", "fibril.monkey.thread_3_13", "main_thread_ident"),
]

thread_local_info = local()
_running: set["Handle"] = set()  # of all tasks that are threads
_main = (0, 0)  # a process, and the identity of its main thread
_handle_name = "_handle"  # where a Thread object keeps its handle
_adopted: Any = None  # what was the main thread when the patch came
_wait_for_native: Callable[[], None] = getattr(threading, "_thread_shutdown", lambda: None)


class Handle:
    """Whether a task that is a thread has started, and is done.

    Switches: if it must wait. Threads: any.
    """

    def __init__(self) -> None:
        self.ident = 0
        self.is_daemon = True
        self._done = _core.Event()

    def is_done(self) -> bool:
        """Whether the thread has ended."""
        return self._done.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most `timeout` seconds; None or a negative number: for ever."""
        if not self.ident:
            raise RuntimeError("thread not started")
        if self.ident == get_ident() and not self.is_done():
            raise RuntimeError("Cannot join current thread")
        self._done.wait(None if timeout is None or timeout < 0 else timeout)

    def _set_done(self) -> None:
        if not self.ident:
            raise RuntimeError("thread not started")
        _running.discard(self)
        self._done.set()

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} object: ident={self.ident}>"


@builtin
def make_handle(ident: int, /) -> Handle:
    """The handle of what runs already.

    Switches: never. Threads: any.
    """
    handle = Handle()
    handle.ident = ident
    return handle


@builtin
def start_joinable_thread(
    function: Callable[[], object], handle: Handle | None = None, daemon: bool = True
) -> Handle:
    """Run a function in a new task, told by a handle.

    Switches: never. Threads: any. Raises RuntimeError if the handle is another thread's already.
    """
    if not callable(function):
        raise TypeError("thread function must be callable")
    if not isinstance(handle, Handle):
        handle = _replace(function, handle)
    if handle.ident:
        raise RuntimeError("thread already started")
    handle.is_daemon = daemon
    handle.ident = start_new_thread(_run, (function, handle))
    _running.add(handle)
    return handle


def _replace(function: Callable[[], object], native_handle: Any) -> Handle:
    """A handle for a task, where there is none, or where it was made before the patch: then the
    Thread object that keeps it, and whose method is called, keeps the new one."""
    handle = Handle()
    thread = getattr(function, "__self__", None)
    if native_handle is not None and getattr(thread, _handle_name, None) is not native_handle:
        raise RuntimeError(
            "cannot start a task with a handle that was made before the patch, as it would never "
            "be told that the task is done. Make it afterwards, or run the program by `fibril run`."
        )
    if native_handle is not None:
        setattr(thread, _handle_name, handle)
    return handle


def _run(function: Callable[[], object], handle: Handle) -> None:
    try:
        function()
    finally:
        handle._set_done()


@builtin
def shut_down() -> None:
    """Wait for the threads that are no daemons, tasks first: the program ends.

    Switches: if it must wait. Threads: owner; called once, by `threading._shutdown`.
    """
    while waited := [handle for handle in _running if not handle.is_daemon]:
        waited[0].join()
    _wait_for_native()


@builtin
def main_thread_ident() -> int:
    """The identity of the process's main thread: in the child of a fork, of the fiber that forked.

    `threading` asks in the child, for a fiber of which it knows no thread, before `_after_fork`.

    Switches: never. Threads: any.
    """
    pid, ident = _main
    return ident if pid == os.getpid() else get_ident()


def _after_fork() -> None:
    """In the child only the fiber that forked goes on, and is its main thread."""
    global _main
    _main = (os.getpid(), get_ident())
    for handle in [*_running, getattr(_adopted, _handle_name)]:
        if handle.ident != get_ident():
            handle._set_done()


def adopt(handle_name: str = "_handle") -> None:
    """Let tasks wait for the main thread's end.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    global _main, _handle_name, _adopted
    main: Any = threading.main_thread()
    _adopted = main
    _main, _handle_name = (os.getpid(), main.ident), handle_name
    setattr(main, handle_name, make_handle(main.ident))
    os.register_at_fork(after_in_child=_after_fork)
