"""gevent, greenlet and eventlet served by fibril: `import gevent` gets a package of ours.

The idea: the folders beside this file are ordinary packages. A finder at the front of
`sys.meta_path` says that their top-level names are there; the rest of importing is Python's own, so
submodules, specs and files are as expected. Who looks at `sys.path` instead (package metadata, what
multiprocessing starts) finds the folders of shims_of() there.

Invariants: a name that fibril does not have yet is absent, and asking for it says so. Of greenlet
there is one in a process: where gevent or eventlet is ours, it is ours too.
Do not add: behaviour of gevent's and greenlet's, whose folders hold names only: what they do
differently is done in fibril, or not at all. eventlet's means other things by many names; its
folder has what it takes to mean them.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = [
    "DEFAULT",
    "NAMES",
    "VERSIONS",
    "get_include",
    "install",
    "serve_children",
    "shims_of",
    "take_over",
]

NAMES = ("eventlet", "gevent", "greenlet")
# What is served where nothing else is asked for. Libraries that find an eventlet use it.
DEFAULT = ("gevent", "greenlet")
# Which version of each fibril stands for: programs and package metadata compare them.
VERSIONS = {"eventlet": "0.41.3", "gevent": "26.9.0", "greenlet": "3.5.6"}

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_served: set[str] = set()


class _Finder:
    """Finds the packages in this folder, and says what they do not have."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = name.partition(".")
        if top not in _served or not _is_ours(sys.modules.get(top)):
            return None
        place = os.path.join(_FOLDER, *name.split("."))
        if os.path.isdir(place):
            start = os.path.join(place, "__init__.py")
            return importlib.util.spec_from_file_location(
                name, start, submodule_search_locations=[place]
            )
        if os.path.isfile(place + ".py"):
            return importlib.util.spec_from_file_location(name, place + ".py")
        added = [folder for folder in path or () if not folder.startswith(_FOLDER)]
        if spec := PathFinder.find_spec(name, added):  # what a program put on the package's path
            return spec
        if not is_importing():
            return None  # somebody only asks
        raise ModuleNotFoundError(
            f"cannot import {name!r}: fibril serves {top!r} here, and has nothing for {rest!r} "
            "yet.",
            name=name,
        )


def is_importing() -> bool:
    """For a finder's find_spec(): is it asked by an import statement, and not by
    importlib.util.find_spec()?

    Switches: never. Threads: any.
    """
    frame = sys._getframe(2)
    return "import" in frame.f_code.co_name or (
        frame.f_back is not None and "load" in frame.f_back.f_code.co_name
    )


def _is_ours(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    return module is None or (file is not None and file.startswith(_FOLDER + os.sep))


def install(*names: str) -> None:
    """From now on `import gevent` and `import greenlet` get fibril.

    names: others than these two, as install("eventlet", "greenlet"). eventlet is not among them by
    itself, because libraries that look for it take it before gevent.

    importlib.metadata tells their versions, and processes that multiprocessing starts get them as
    well.

    Switches: never. Threads: any. Raises ImportError if the real ones were imported before,
    ValueError for a name that is not served.

    >>> from fibril import compat
    >>> compat.install()
    >>> import gevent
    >>> gevent.spawn(len, "abc").get()
    3
    """
    names = names or DEFAULT
    for name in names:
        _check_name(name)
    _serve(*dict.fromkeys((*names, "greenlet")))
    for folder in sorted({shims_of(name) for name in names}):
        if folder not in sys.path:
            sys.path.insert(1, folder)  # behind the program's own folder


def _check_name(name: str) -> None:
    if name not in NAMES:
        served = f"{', '.join(NAMES[:-1])} and {NAMES[-1]}"
        raise ValueError(f"cannot take the place of {name!r}: fibril serves {served}")


def shims_of(name: str) -> str:
    """The folder with the thin package of that name, and with metadata: on the path of a process it
    hands over to us. eventlet's is one of its own: who does not ask for it must not find it.

    Switches: never. Threads: any.
    """
    return os.path.join(_FOLDER, "shims_eventlet" if name == "eventlet" else "shims")


def serve_children(*names: str) -> None:
    """Have each Python that this process starts from now on get fibril by these names, too.

    names: as for install(). By PYTHONPATH: one that is started with -E or -I does not see it.

    Switches: never. Threads: any.
    """
    folders = sorted({shims_of(name) for name in names or DEFAULT})
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    added = [folder for folder in folders if folder not in others]
    os.environ["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, others)])


def take_over(name: str) -> None:
    """Put fibril's package in the place of the thin one that is being imported under that name.

    The packages of shims_of() call this, and nobody else has a reason to.

    Switches: never. Threads: any. Raises ValueError for a name that is not served, and ImportError
    if the real greenlet was imported before.
    """
    _check_name(name)
    thin = sys.modules.pop(name, None)
    try:
        _serve(*NAMES[NAMES.index(name) :])  # with gevent greenlet
        # The import that is under way hands out what it finds in sys.modules at its end.
        importlib.import_module(name)
    except BaseException:
        if thin is not None:
            sys.modules.setdefault(name, thin)  # the failing import takes it away again
        raise


def get_include() -> str:
    """The folder for a C compiler's -I, so that `#include <greenlet/greenlet.h>` finds fibril's.

    Switches: never. Threads: any.

    >>> import os
    >>> from fibril import compat
    >>> os.path.exists(os.path.join(compat.get_include(), "greenlet", "greenlet.h"))
    True
    """
    return _FOLDER


def _serve(*names: str) -> None:
    for name in names:
        if not _is_ours(module := sys.modules.get(name)):
            raise ImportError(
                f"cannot serve {' and '.join(names)} by fibril: the real {name} is imported "
                f"already, from {getattr(module, '__file__', 'elsewhere')}, and greenlets of two "
                "kinds cannot switch to each other in one process. Have fibril serve both before "
                "anything imports them: run the program by `fibril run --gevent` (or --eventlet), "
                "or call fibril.compat.install() first.",
                name=name,
            )
    _served.update(names)
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
