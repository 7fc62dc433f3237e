"""Monkey patching: the standard library's blocking calls let other tasks run instead.

The idea: as little as possible is replaced, and in place. Methods are put on the standard library's
own classes, so a socket stays a `socket.socket` and a module that did `from socket import socket`
before is served too; a function that was imported by name is found in the modules that have it, and
rebound, unless the name says that it keeps the original (`real_sleep`, `_orig_sleep`). `threading`,
`queue` and `ssl.SSLContext` stay what they are, on locks that park a fiber.

Importing fibril patches none of this (handlers of signals it serves: fibril._hub.handlers). What is
patched is the table in `patches.py`; what was there before is kept in `saved.py`. Each function may
be called any number of times, in any order.

Whoever wants to know is told (fibril.events), and may refuse; `keep()` marks modules that are never
to be patched; `fibril doctor` lists what is left that blocks.

File objects are io's own: those on pipes, terminals and sockets let others run, the three standard
streams among them (`patch_os`), and several tasks take turns in one. Files on a disk are read and
written as ever.
"""

from collections.abc import Collection, Iterable
from types import ModuleType
from typing import Any

from fibril import events
from fibril._hub.events import publish
from fibril.monkey import patches
from fibril.monkey.kept import keep
from fibril.monkey.rebind import MonkeyPatchWarning, warn
from fibril.monkey.saved import get_original, is_object_patched, put, remove_item, saved

__all__ = [
    "MonkeyPatchWarning",
    "get_original",
    "is_anything_patched",
    "is_module_patched",
    "is_object_patched",
    "keep",
    "patch_all",
    "patch_builtins",
    "patch_contextvars",
    "patch_dns",
    "patch_files",
    "patch_item",
    "patch_module",
    "patch_os",
    "patch_queue",
    "patch_select",
    "patch_selectors",
    "patch_signal",
    "patch_socket",
    "patch_ssl",
    "patch_subprocess",
    "patch_sys",
    "patch_thread",
    "patch_time",
    "remove_item",
    "saved",
]


_last_asked: dict[str, Any] | None = None  # what all calls of patch_all() asked for, together


def patch_all(
    socket: bool = True,
    dns: bool = True,
    time: bool = True,
    select: bool = True,
    thread: bool = True,
    os: bool = True,
    ssl: bool = True,
    subprocess: bool = True,
    sys: bool = False,
    aggressive: bool = True,
    Event: bool = True,  # noqa: N803  # gevent's name
    builtins: bool = True,
    signal: bool = True,
    queue: bool = True,
    contextvars: bool = True,
    *,
    files: bool = False,
    **kwargs: Any,
) -> bool | None:
    """Patch everything that can be, but for what is given as False.

    Call it first thing in the program; what was imported before is served as far as it can be, and
    what cannot be is named in a MonkeyPatchWarning. Whoever has subscribed is told (fibril.events),
    and may refuse a module or all of it; other arguments are for him. Returns True; None if all of
    it was patched before; False if it was refused. What was patched before stays so, of which a
    second call with other arguments warns. Files on disks are only with `files`: see patch_files.

    gevent's other arguments choose between things that are not there, and change nothing: `sys`
    (the standard streams are patched with `os`, or not at all), `aggressive` (`select.epoll` and
    the selectors let others run, so they need not be removed), `Event` (`threading.Event` stays the
    standard library's, on locks that park), `builtins` and `contextvars` (as they are they serve
    fibers).

    Switches: never, unless a subscriber waits. Threads: owner; call it on the main thread.

    >>> from fibril import monkey
    >>> monkey.patch_all(thread=False, ssl=False)
    True
    >>> monkey.is_module_patched("socket")
    True
    """
    asked = {name: value for name, value in locals().items() if name != "kwargs"}
    return _patch_all(asked, kwargs)


def _patch_all(asked: dict[str, Any], others: dict[str, Any]) -> bool | None:
    global _last_asked
    if _last_asked is not None:
        _warn_of_other_arguments(asked, _last_asked)
        if not any(asked[name] and not _last_asked[name] for name in asked):
            return None
    try:
        publish(events.GeventWillPatchAllEvent(asked, others))
    except events.DoNotPatch:
        return False
    is_wanted = {**asked, "selectors": asked["select"]}
    is_wanted["dns"] = asked["socket"] and asked["dns"]
    done = _patch([part for part in patches.ORDER if is_wanted[part]])
    publish(events.GeventDidPatchBuiltinModulesEvent(asked, others))
    publish(events.GeventDidPatchAllEvent(asked, others))
    before = _last_asked or {}
    _last_asked = {name: asked[name] or before.get(name, False) for name in asked}
    return done


def _warn_of_other_arguments(asked: dict[str, Any], before: dict[str, Any]) -> None:
    if asked != before:
        warn(
            "Patching more than once will result in the union of all True parameters being patched:"
            " what was patched before stays so."
        )


def _patch(parts: Iterable[str], left_out: Collection[str] = ()) -> bool | None:
    return True if patches.apply(parts, left_out=left_out) else None


def patch_thread(
    threading: bool = True,
    _threading_local: bool = True,
    Event: bool = True,  # noqa: N803  # gevent's name
    logging: bool = True,
    existing_locks: bool = True,
) -> bool | None:
    """Threads become tasks, and locks, `threading.local` and identities are those of fibers.

    Thread, Condition, Event, Queue and the executors stay the standard library's. Native threads
    that run already stay native; new ones are to be had from `fibril.native`. A log record made in
    a task has the task's name as `taskName`; its `threadName` is that of the Thread which the task
    is, and Dummy-N in any other.

    _threading_local: whether the module of that name gets its `local`, too. logging: whether log
    records name tasks, and the locks of handlers that exist are replaced. existing_locks: whether
    the lock of executors that were imported before is, and others are named in a warning. threading
    and Event change nothing: without the first, threads would be native with locks that are not,
    and wait for each other for ever; and `threading.Event` is served by the locks in it.

    Switches: never, unless a subscriber waits. Threads: owner; call it on the main thread.
    """
    import threading as stdlib

    if stdlib.current_thread() is not stdlib.main_thread():
        warn(
            "patch_thread is called on a native thread that is not the main one: the main thread's "
            "locks may be mixed. Call it first thing in the program."
        )
    wanted = {
        "_threading_local": _threading_local,
        "logging": logging,
        "existing_locks": existing_locks,
    }
    return _patch(["thread"], [name for name, is_wanted in wanted.items() if not is_wanted])


def patch_time() -> bool | None:
    """`time.sleep` lets other tasks run.

    Switches: never. Threads: any.
    """
    return _patch(["time"])


def patch_socket(dns: bool = True, aggressive: bool = True) -> bool | None:
    """Every `socket.socket` lets other tasks run while it waits; with `dns` also name look-ups.

    Switches: never. Threads: any.
    """
    return _patch(["dns", "socket"] if dns else ["socket"])


def patch_dns() -> bool | None:
    """Name look-ups let other tasks run.

    Switches: never. Threads: any.
    """
    return _patch(["dns"])


def patch_ssl() -> bool | None:
    """Every `ssl.SSLSocket` lets other tasks run while it waits; `SSLContext` stays what it is.

    Switches: never. Threads: any.
    """
    return _patch(["ssl"])


def patch_select(aggressive: bool = True) -> bool | None:
    """`select`, `poll` and `epoll` let other tasks run, and with them the selectors.

    Switches: never. Threads: any.
    """
    return _patch(["select", "selectors"])


def patch_selectors(aggressive: bool = True) -> bool | None:
    """The same as `patch_select`: the selectors are built of it.

    Switches: never. Threads: any.
    """
    return patch_select()


def patch_queue() -> bool | None:
    """`queue.SimpleQueue` lets other tasks run; the other queues do since `patch_thread`.

    Switches: never. Threads: any.
    """
    return _patch(["queue"])


def patch_os() -> bool | None:
    """`os.read`, `os.write`, `os.waitpid` and their kin, and locks of files, let other tasks run.

    So do file objects on pipes, terminals and sockets, whatever opened them and when, `print`, and
    `input` at a terminal. Several tasks that use one take turns in it. Files on a disk are read and
    written as ever, and a descriptor that the program has made non-blocking answers as ever.
    `os.close` tells whoever waits on what it closes.

    Switches: never. Threads: any.
    """
    return _patch(["os"])


def patch_files() -> bool | None:
    """Files on disks, whatever opened them and when, let other tasks run while they wait for it.

    What is in memory is read at once; the rest, opening a file, and `os.fsync` and `os.fdatasync`
    is done in native threads of the hub's pool, in the order of the calls. That costs a file that
    is never waited for up to a few microseconds for each call that reaches the system, and some
    more for each open(). `os.read` and `os.write` of such descriptors are as ever.

    Switches: never. Threads: any.
    """
    return _patch(["files"])


def patch_signal() -> bool | None:
    """`signal.pause`, `sigwait` and their kin let other tasks run.

    Handlers are the main thread's since fibril was imported, patched or not.

    Switches: never. Threads: any.
    """
    return _patch(["signal"])


def patch_subprocess() -> bool | None:
    """Processes: `Popen`, its pipes, and waiting, with a timeout or without, let other tasks run.

    Switches: never. Threads: any.
    """
    return _patch(["subprocess"])


def patch_builtins() -> None:
    """Nothing: Python's imports lock one module each, as gevent's function of that name says, too.

    Switches: never. Threads: any.
    """


def patch_contextvars() -> None:
    """Nothing: each fiber has context variables of its own, as they are.

    Switches: never. Threads: any.
    """


def patch_sys(stdin: bool = True, stdout: bool = True, stderr: bool = True) -> None:
    """Nothing: the three standard streams let other tasks run since `patch_os`.

    Switches: never. Threads: any.
    """


def patch_module(
    target_module: ModuleType, source_module: ModuleType, items: Iterable[str] | None = None
) -> bool:
    """Put names of one module in the place of another's; False if somebody refuses it, else True.

    items: which; None for those that the source lists as `__implements__`. The originals are kept
    for `get_original`. The source's functions `_gevent_will_monkey_patch(target, items, warn)` and
    `_gevent_did_monkey_patch`, if it has them, are called before and afterwards, and then those who
    have subscribed (fibril.events). Before, each may take names out of the list, or raise
    DoNotPatch.

    Switches: never, unless one of these waits. Threads: any. Raises AttributeError if there is
    nothing of that name.
    """
    names = list(source_module.__implements__ if items is None else items)
    target_name = target_module.__name__
    try:
        _call_hook(source_module, "_gevent_will_monkey_patch", target_module, names)
        publish(events.GeventWillPatchModuleEvent(target_name, source_module, target_module, names))
    except events.DoNotPatch:
        return False
    replacements = {name: getattr(source_module, name) for name in names}
    for name, replacement in replacements.items():
        put(target_module, name, replacement)
    _call_hook(source_module, "_gevent_did_monkey_patch", target_module, names)
    publish(events.GeventDidPatchModuleEvent(target_name, source_module, target_module))
    return True


def _call_hook(source: ModuleType, hook: str, target: ModuleType, names: list[str]) -> None:
    function = getattr(source, hook, None)
    if function is not None:
        function(target, names, warn)


def patch_item(module: ModuleType, attr: str, newitem: Any) -> None:
    """Put something in place of a module's name, and keep the original for `get_original`.

    Switches: never. Threads: any.
    """
    put(module, attr, newitem)


def is_module_patched(mod_name: str) -> bool:
    """Whether anything of a module is patched.

    Switches: never. Threads: any.
    """
    return mod_name in saved


def is_anything_patched() -> bool:
    """Whether anything is patched.

    Switches: never. Threads: any.
    """
    return bool(saved)
