"""The table of all patches: what of the standard library is replaced by what.

The idea: a patch is a line: module, name, replacement. Parts of the table are applied as wholes,
once; then the names that others imported before are rebound.

Invariants: a part is applied entirely or, where this Python has no such module, not at all; each
only once. Methods are put on the standard library's classes; no class that a program may have
subclassed is replaced, except `threading.local` and the lock types, which are the primitives.
Do not add: code for a single patch; that belongs beside its replacement.
"""

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, NamedTuple

from fibril import native
from fibril.libraries import whenever_imported
from fibril.monkey import locks, running_loop, semaphores
from fibril.monkey.rebind import rebind
from fibril.monkey.saved import put

__all__ = ["PARTS", "Patch", "apply"]


class Patch(NamedTuple):
    """One name of the standard library and what is put in its place."""

    module: str
    name: str  # "sleep", or "socket.recv" for a method of a class
    source: str  # the replacement's module
    source_name: str  # its name there


def _methods(module: str, class_name: str, source: str, names: str) -> list[Patch]:
    return [
        Patch(module, f"{class_name}.{name}", source, f"{class_name}.{name}")
        for name in names.split()
    ]


def _functions(module: str, source: str, names: str) -> list[Patch]:
    return [Patch(module, name, source, name) for name in names.split()]


_THREADS = "fibril.monkey.thread_3_11"  # what `threading` needs differs from version to version
if sys.version_info >= (3, 13):
    _THREADS = "fibril.monkey.thread_3_13"
if sys.version_info >= (3, 14):
    _THREADS = "fibril.monkey.thread_3_14"

PARTS: dict[str, list[Patch]] = {
    "os": [
        *_functions("os", "fibril._core", "read write readv writev"),
        *_functions("os", "fibril._io.children", "wait wait3 wait4 waitid waitpid"),
        *_functions(
            "os",
            "fibril._io.files",
            "close dup2 eventfd_read eventfd_write sendfile splice system",
        ),
        Patch("os", "lockf", "fibril._io.files", "os_lockf"),
        *_functions("fcntl", "fibril._io.files", "flock lockf"),
    ],
    "subprocess": [
        *_methods(
            "subprocess",
            "Popen",
            "fibril.subprocess",
            "__init__ _execute_child _communicate _wait result rawlink unlink",
        ),
        *(
            Patch("fibril.subprocess", name, "subprocess", name)
            for name in [
                "Popen",
                "call",
                "check_call",
                "check_output",
                "getoutput",
                "getstatusoutput",
                "run",
            ]
        ),
    ],
    "time": [
        *_functions("time", "fibril.time", "sleep"),
        *_functions("time", "fibril.monkey.idents", "pthread_getcpuclockid"),
    ],
    "dns": _functions(
        "socket",
        "fibril._io.resolver",
        "getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr getnameinfo",
    ),
    "socket": [
        *_methods(
            "socket",
            "socket",
            "fibril.socket",
            "__init__ accept connect connect_ex detach recv recv_into recvfrom recvfrom_into"
            " recvmsg recvmsg_into send sendall sendto sendmsg _real_close _sendfile_use_sendfile",
        ),
        # Programs ask `socket.socket is gevent.socket.socket` to see whether they are patched.
        Patch("fibril.socket", "socket", "socket", "socket"),
    ],
    "ssl": _methods(
        "ssl",
        "SSLSocket",
        "fibril.ssl",
        "gettimeout settimeout setblocking getblocking timeout do_handshake read recv recv_into"
        " write send sendall unwrap shutdown detach sendfile",
    ),
    "select": [
        *_functions("select", "fibril.select", "select poll epoll"),
        Patch("selectors", "SelectSelector._select", "fibril.selectors", "SelectSelector._select"),
        Patch("selectors", "PollSelector._selector_cls", "fibril.select", "poll"),
        Patch("selectors", "PollSelector.select", "fibril.selectors", "PollSelector.select"),
        Patch("selectors", "EpollSelector._selector_cls", "fibril.select", "epoll"),
        Patch("selectors", "EpollSelector.select", "fibril.selectors", "EpollSelector.select"),
    ],
    "queue": [
        Patch("_queue", "SimpleQueue", "fibril.monkey.simple_queue", "SimpleQueue"),
        Patch("queue", "SimpleQueue", "fibril.monkey.simple_queue", "SimpleQueue"),
    ],
    "thread": [
        *_functions(
            "_thread",
            "fibril.thread",
            "LockType allocate_lock RLock get_ident start_new_thread start_new _count _local",
        ),
        Patch("_thread", "allocate", "fibril.thread", "allocate_lock"),
        Patch("threading", "Lock", "fibril.thread", "LockType"),
        Patch("threading", "_allocate_lock", "fibril.thread", "LockType"),
        Patch("threading", "_CRLock", "fibril.thread", "RLock"),
        Patch("threading", "get_ident", "fibril.thread", "get_ident"),
        Patch("threading", "local", "fibril.local", "local"),
        Patch("threading", "_DummyThread.__init__", "fibril.monkey.dummies", "init_dummy"),
        Patch("threading", "_DummyThread.__new__", "fibril.monkey.dummies", "Dummy.__new__"),
        Patch("_threading_local", "local", "fibril.local", "local"),
        *_functions("signal", "fibril.monkey.idents", "pthread_kill"),
        *_functions("_signal", "fibril.monkey.idents", "pthread_kill"),
        *_functions(
            "signal", "fibril.monkey.masks", "pthread_sigmask sigtimedwait sigwait sigwaitinfo"
        ),
        Patch("logging", "LogRecord.__init__", "fibril.monkey.log_records", "init_record"),
        *(Patch(*line) for line in importlib.import_module(_THREADS).PATCHES),
    ],
}

_applied: set[str] = set()


def apply(parts: Iterable[str]) -> list[str]:
    """Apply parts of the table that are not yet; which they were.

    Switches: never. Threads: any.
    """
    fresh = [part for part in parts if part not in _applied and _exists(part)]
    _applied.update(fresh)
    lines = [(line, _find(line)) for part in fresh for line in PARTS[part]]
    replaced = []
    for line, replacement in lines:
        original = put(importlib.import_module(line.module), line.name, replacement)
        if "." not in line.name:
            replaced.append((original, replacement))
    if "thread" in fresh:
        importlib.import_module(_THREADS).adopt()
        running_loop.adopt()
        semaphores.adopt()
    if fresh:
        rebind(replaced)
    if "thread" in fresh:
        locks.tell_shared()
    if "queue" in fresh:
        whenever_imported("_queue", _replace_simple_queue)
    return fresh


def _replace_simple_queue(module: ModuleType) -> None:
    """A second `_queue`, as tests of CPython's make one; ours raises the first one's Empty."""
    names: Any = vars(module)
    names["Empty"] = native.Empty
    names["SimpleQueue"] = vars(sys.modules["fibril.monkey.simple_queue"])["SimpleQueue"]


def _exists(part: str) -> bool:
    try:
        for line in PARTS[part]:
            importlib.import_module(line.module)
    except ImportError:
        return False
    return True


def _find(line: Patch) -> Any:
    """The replacement itself; from a class as it stands there, not bound."""
    found: Any = importlib.import_module(line.source)
    for name in line.source_name.split("."):
        found = vars(found)[name]
    return found
