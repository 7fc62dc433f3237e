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
from collections.abc import Collection, Iterable
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any, NamedTuple

from fibril import drivers, events, native
from fibril._hub.events import publish
from fibril._io import streams
from fibril.libraries import whenever_imported
from fibril.monkey import interpreters, locks, masks, owners, running_loop, semaphores
from fibril.monkey.kept import is_kept
from fibril.monkey.rebind import rebind
from fibril.monkey.saved import put

__all__ = ["ORDER", "PARTS", "Patch", "apply", "unapplied"]


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
        Patch("os", "open", "fibril._io.disk", "open_descriptor"),
        *_functions("fcntl", "fibril._io.files", "flock lockf"),
    ],
    "files": _functions("os", "fibril._io.disk", "fsync fdatasync"),
    "signal": _functions(
        "signal", "fibril._io.signal_wait", "pause sigtimedwait sigwait sigwaitinfo"
    ),
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
        "fibril._io.hosts",
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
    "select": _functions("select", "fibril.select", "select poll epoll"),
    "selectors": [
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
        *_functions("signal", "fibril.monkey.masks", "pthread_sigmask"),
        *_functions("_posixsubprocess", "fibril.monkey.masks", "fork_exec"),
        *_functions("os", "fibril.monkey.masks", "posix_spawn posix_spawnp"),
        Patch("logging", "LogRecord.__init__", "fibril.monkey.log_records", "init_record"),
        *(Patch(*line) for line in importlib.import_module(_THREADS).PATCHES),
    ],
}

# The modules of each part that subscribers are told of (fibril.events), and may refuse. What else a
# part replaces goes with these, and all of it with each: half of what makes threads tasks would let
# them wait for each other for ever.
_TOLD = {
    "os": ("os",),
    "signal": ("signal",),
    "thread": ("_thread", "threading"),
    "time": ("time",),
    "dns": ("socket",),
    "socket": ("socket",),
    "select": ("select",),
    "selectors": ("selectors",),
    "ssl": ("ssl",),
    "subprocess": ("subprocess",),
    "queue": ("queue",),
}

#: In which order patch_all() applies what it is asked for: gevent's.
ORDER = (
    *("os", "signal", "thread", "time", "dns", "socket", "select", "selectors", "ssl"),
    *("subprocess", "queue", "files"),
)
_applied: set[str] = set()


def apply(parts: Iterable[str], *, left_out: Collection[str] = ()) -> list[str]:
    """Apply parts of the table that are not yet; which they were.

    left_out: modules that keep what they have, and "existing_locks" for locks that do. A part that
    a subscriber refuses is left alone, too.

    Switches: as the function does, if a subscriber waits. Threads: any.
    """
    fresh = [part for part in parts if part not in _applied and _exists(part)]
    found = {line: _find(line) for part in fresh for line in PARTS[part]}
    replaced: list[tuple[Any, Any]] = []
    done: list[str] = []
    try:
        for stage in _stages(fresh):
            lines = _ask(stage, left_out)
            if lines:
                _applied.update(stage)
                done += stage
                replaced += _put(lines, found)
                _finish(stage, left_out)
                _tell(stage, lines)
    finally:  # a subscriber may fail
        rebind(replaced)
    if "thread" in done and "existing_locks" not in left_out:
        locks.tell_shared()
    return done


def unapplied() -> list[str]:
    """The parts that patch_all() applies if it is not asked for others, and that are not.

    Switches: never. Threads: any.
    """
    usual = [part for part in ORDER if part != "files"]
    return [part for part in usual if part not in _applied and _exists(part)]


def _stages(parts: list[str]) -> list[list[str]]:
    """The parts one after the other, but together if they are told of as one module."""
    stages: dict[tuple[str, ...], list[str]] = {}
    for part in parts:
        stages.setdefault(_TOLD.get(part, (part,)), []).append(part)
    return list(stages.values())


def _ask(stage: list[str], left_out: Collection[str]) -> list[Patch]:
    """The lines of some parts to which all agree: the caller, the program, and who is told."""
    told = _TOLD.get(stage[0], ())
    agreed: dict[str, list[Patch]] = {}
    for line in (line for part in stage for line in PARTS[part]):
        if line.module not in left_out and not is_kept(line.module):
            agreed.setdefault(line.module, []).append(line)
    for name in told:
        agreed[name] = _agreed(name, agreed.get(name, []))
    if not all(agreed[name] for name in told):
        return []
    return [line for lines in agreed.values() for line in lines]


def _agreed(name: str, lines: list[Patch]) -> list[Patch]:
    """Those of a module's lines to which subscribers agree."""
    if not lines:
        return []
    items = [line.name for line in lines]
    try:
        publish(_event(events.GeventWillPatchModuleEvent, name, items))
    except events.DoNotPatch:
        return []
    return [line for line in lines if line.name in items]


def _tell(stage: list[str], lines: list[Patch]) -> None:
    patched = {line.module for line in lines}
    for name in _TOLD.get(stage[0], ()):
        if name in patched:
            publish(_event(events.GeventDidPatchModuleEvent, name))


def _event(kind: Any, name: str, *others: Any) -> Any:
    """An event of the patch of a module; its source is ours of that name, if there is one."""
    source = {"_thread": "thread", "threading": "thread"}.get(name, name)
    found = sys.modules.get(f"fibril.{source}", sys.modules["fibril.monkey"])
    return kind(name, found, importlib.import_module(name), *others)


def _put(lines: list[Patch], found: dict[Patch, Any]) -> list[tuple[Any, Any]]:
    """Put the replacements in place; those that others may have imported by name."""
    replaced = []
    for line in lines:
        original = put(importlib.import_module(line.module), line.name, found[line])
        if not line.module.startswith("fibril."):  # where the replacement is the standard library's
            _sign(found[line], original)
            _settle(found[line], line)
        if "." not in line.name:
            replaced.append((original, found[line]))
    return replaced


def _sign(replacement: Any, original: Any) -> None:
    """Let a function show the signature of what it replaces, or that this has none."""
    if (
        isinstance(replacement, FunctionType)
        and isinstance(original, _FUNCTIONS)
        and "__wrapped__" not in vars(replacement)
    ):
        replacement.__wrapped__ = original  # type: ignore[attr-defined]  # as functools.wraps does
        if not isinstance(original, FunctionType):
            text = getattr(original, "__text_signature__", None)
            vars(replacement)["__text_signature__"] = text


def _settle(replacement: Any, line: Patch) -> None:
    """Let pickle find a function where it stands now: where it is loaded there may be another, in a
    process that is not patched, or no fibril, as in a sub-interpreter."""
    if not isinstance(replacement, _FUNCTIONS) or replacement.__name__ != line.name:
        return
    if replacement.__module__.startswith("fibril."):  # it may stand in several places
        replacement.__module__ = line.module


_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodDescriptorType)


def _finish(stage: list[str], left_out: Collection[str]) -> None:
    """What belongs to some parts and is no line of the table."""
    if "thread" in stage:
        importlib.import_module(_THREADS).adopt()
        running_loop.adopt()
        masks.adopt()
        semaphores.adopt()
        owners.adopt()
        interpreters.adopt()
        if "logging" not in left_out:
            locks.renew_logging()
        if "existing_locks" not in left_out:
            locks.renew()
    if "os" in stage or "files" in stage:
        streams.wait_in_files()
    if "files" in stage:
        importlib.import_module("fibril._io.disk").serve_all()
    if "socket" in stage:
        streams.take_turns()
        drivers.serve(is_kept)
    if "queue" in stage:
        whenever_imported("_queue", _replace_simple_queue)


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
