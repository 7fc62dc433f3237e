"""SQLite's connections belong to the thread that made them, also where threads are tasks.

The idea: the extension asks the interpreter which native thread it runs in, when a connection is
made and at each use. There it gets an answer of ours (csrc: library.c), so nothing is wrapped and
no call costs more. A Thread that is a task is itself; any other task counts as its native thread,
as with gevent, so tasks that hand a connection to each other go on doing so.

Where the extension is a part of the interpreter itself it cannot be told apart, and stays as it is.
Do not add: libraries that only remember a thread's number.
"""

from functools import partial
from types import ModuleType

from fibril import _core
from fibril.libraries import when_imported
from fibril.monkey.kept import is_kept

__all__ = ["adopt"]

_EXTENSIONS = ("_sqlite3", "pysqlite3._sqlite3", "sqlcipher3._sqlite3")


def adopt() -> None:
    """Tell threads that are tasks apart, once such an extension is imported.

    Switches: never. Threads: any; called once, by patch_thread.
    """
    for name in _EXTENSIONS:
        when_imported(name, partial(_adopt, name))


def _adopt(name: str, extension: ModuleType) -> None:
    if is_kept(name):
        return
    try:
        _core.tell_threads_apart(vars(extension)["connect"])
    except (KeyError, OSError, TypeError):
        pass  # another version of it, or a part of the interpreter
