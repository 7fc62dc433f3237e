"""Libraries of C code that count on threads: what each needs, so that fibers may call it.

The idea: some libraries keep "the call that is going on" where only a thread is told apart: in a
thread-local variable, or in a static one behind a lock that the thread holds. A callback that waits
lets another fiber of the same thread in, which then finds the wrong call, without a word. The
remedies are here, each for a library by name. Known libraries are seen to when they are imported,
or at once if they were before.

Invariants: a library that is not imported costs nothing, and none is imported from here. Who
imports fibril gets a finder at the front of sys.meta_path, which finds nothing: it looks out for
names. Do not add: a library that is right under threads only by luck.
"""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from fibril import _core, native
from fibril._core import RLock

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["follow_stack_limit", "keep_thread_locals", "one_at_a_time", "replace_locks"]

_Action = Callable[[ModuleType], object]
_wanted: dict[str, list[_Action]] = {}  # by the name of a module: what to do once it is there
_wanted_always: dict[str, list[_Action]] = {}  # the same, each time that it is made anew


def keep_thread_locals(name: str) -> None:
    """Give each fiber thread-local variables of its own in the C extension called `name`.

    For a library that keeps the call that is going on in a thread-local variable, for its callbacks
    to find. A fiber begins with what a new thread begins with. `name` is that of the extension
    module itself ("scipy.integrate._quadpack"); if it is not imported yet, it waits until it is.
    Only for libraries that keep nothing else there: what is freed when the thread ends, or is
    shared with other libraries, must stay the thread's. Extensions made with pybind11 3 are such.

    Switches: never. Threads: any.
    Raises: ValueError if it has no such variables, or more than a fiber can keep.

    >>> from fibril import libraries
    >>> libraries.keep_thread_locals("an_extension.not_imported_yet")
    """
    when_imported(name, _keep)


def follow_stack_limit(name: str, call: Callable[[ModuleType], object]) -> None:
    """Let the C extension called `name` know where the stack of each fiber ends.

    For a library that asks once in each native thread where its stack ends, remembers that in a
    thread-local variable, and goes on upon a new stack when little is left, as Rust's `stacker`
    does. `call(module)` must make it do so, and nothing else of weight: it is called in a native
    thread of its own as soon as the module is imported, while the import waits. Before fibers have
    used the library; polars is seen to by itself.

    Switches: never. Threads: any.
    Raises: ValueError if the call does not show where the library remembers it.

    >>> from fibril import libraries
    >>> libraries.follow_stack_limit("an_extension.not_imported_yet", lambda module: module.f())
    """
    when_imported(name, functools.partial(_follow, call))


def one_at_a_time(*names: str) -> None:
    """Let no more than one fiber be in any of the named functions: the others wait for their turn.

    For a library with static variables, which cannot do two calls at once: threads would have to
    take turns as well. A name is "module:function" or "module:class.function"; a module that is not
    imported yet waits until it is. Calls from inside of such a call go on.

    Switches: never; the functions: if they must wait. Threads: any.
    Raises: AttributeError if there is no such function.

    >>> import colorsys, fibril
    >>> from fibril import libraries
    >>> libraries.one_at_a_time("colorsys:rgb_to_hls")
    >>> fibril.spawn(colorsys.rgb_to_hls, 0, 0, 0).get()
    (0.0, 0.0, 0.0)
    """
    lock = RLock()
    for name in names:
        module_name, _, path = name.partition(":")
        when_imported(module_name, functools.partial(_serialize, path, lock))


def replace_locks(name: str) -> None:
    """Put fibers' locks in the place of the native ones among a module's globals.

    For a library in Python that calls back while it holds a lock. A native lock keeps the whole
    thread waiting, or, if it may be taken twice, takes all fibers of a thread for one. Programs
    whose standard library was patched before that import have fibers' locks there already.

    Switches: never. Threads: any.

    >>> from fibril import libraries
    >>> libraries.replace_locks("a_library.not_imported_yet")
    """
    when_imported(name, _replace_locks)


# ---- the remedies ----


def _keep(module: ModuleType) -> None:
    file = getattr(module, "__file__", None)
    try:
        if file is None:
            raise OSError(errno.ENOENT, "it is part of the interpreter")
        _core.keep_thread_locals(file)
    except OSError as error:
        why = {
            errno.ENODATA: "it has none",
            errno.E2BIG: "it has more of them than a fiber can keep",
        }.get(error.errno or 0, "it is not a loaded C extension")
        raise ValueError(
            f"cannot keep the thread-local variables of {module.__name__!r} with each fiber: "
            f"{why}. Name the extension module itself that calls back."
        ) from None


def _keep_if_any(module: ModuleType) -> None:
    try:
        _keep(module)
    except ValueError:
        pass  # another version of the library, which has none there


_LESSON_S = 10.0  # it takes 1 ms, if nobody else wants the GIL; a call that imports may never end


def _follow(call: Callable[[ModuleType], object], module: ModuleType) -> None:
    """In a thread that the library has not seen: there, it has to ask."""
    path = getattr(module, "__file__", None) or module.__name__  # that: the interpreter's own
    found: list[tuple[int, int]] = []
    ended = native.allocate_lock()

    def learn() -> None:
        try:
            found.append(_core.find_stack_limit(path, functools.partial(call, module)))
        except OSError:
            pass
        finally:
            ended.release()

    ended.acquire()
    native.start_new_thread(learn, ())
    if not ended.acquire(timeout=_LESSON_S) or not found:
        raise ValueError(
            f"cannot find where {module.__name__!r} remembers the end of the stack: the call made "
            f"it remember nothing. Call something that recurses, or fibril.on_main_stack."
        )
    _core.follow_stack_limit(path, *found[0])


def _follow_if_it_shows(call: Callable[[ModuleType], object], module: ModuleType) -> None:
    try:
        _follow(call, module)
    except (ValueError, OSError, RuntimeError):
        pass  # another version of the library, or no thread could start: it is as it was


class _OneAtATime:
    """A function of C code behind a lock; in all else that function."""

    def __init__(self, function: Callable[..., Any], lock: RLock) -> None:
        self.__wrapped__ = function
        self._lock = lock

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return f"<one call at a time of {self.__wrapped__!r}>"


def _serialize(path: str, lock: RLock, module: ModuleType) -> None:
    *places, last = path.split(".")
    place: Any = functools.reduce(getattr, places, module)
    function = getattr(place, last)
    if not isinstance(function, FunctionType):
        if not isinstance(function, _OneAtATime):
            setattr(place, last, _OneAtATime(function, lock))
        return

    @functools.wraps(function)
    def one_at_a_time(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return function(*args, **kwargs)

    setattr(place, last, one_at_a_time)


_NATIVE_LOCKS = (type(native.allocate_lock()), native.RLock)


def _replace_locks(module: ModuleType) -> None:
    """Those of the module, and those that its objects keep, as scipy's ReentrancyLock does."""
    for name, value in list(vars(module).items()):
        if isinstance(value, _NATIVE_LOCKS):
            setattr(module, name, _lock_like(value))
            continue
        for inner_name, inner in list(getattr(value, "__dict__", {}).items()):
            if isinstance(inner, _NATIVE_LOCKS) and type(value).__module__.startswith("scipy."):
                setattr(value, inner_name, _lock_like(inner))


def _lock_like(lock: object) -> object:
    return RLock() if isinstance(lock, native.RLock) else _core.LockType()


# ---- when a library is imported ----


def when_imported(name: str, action: _Action) -> None:
    """Call action(module) as soon as the module of that name is imported; now, if it is.

    Switches: never, unless the action does. Threads: any; the action: that which imports.
    """
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is not None and not getattr(spec, "_initializing", False):
        action(module)
    else:
        _wanted.setdefault(name, []).append(action)


def whenever_imported(name: str, action: _Action) -> None:
    """The same from now on, each time that a module of that name is made anew, as tests do.

    "package.*": for each module in a package.

    Switches: never, unless the action does. Threads: any; the action: that which imports.
    """
    _wanted_always.setdefault(name, []).append(action)


def _patterns(name: str) -> list[str]:
    """a.b.c → a.b.c, a.*, a.b.*: under which a module may be wanted always."""
    dots = [at for at, char in enumerate(name) if char == "."]
    return [name, *(f"{name[:at]}.*" for at in dots)]


class _Finder:
    """Finds nothing, but sees to it that a wanted module is told of when others have found it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _wanted and not any(map(_wanted_always.__contains__, _patterns(name))):
            return None
        for finder in sys.meta_path:
            if finder is _Finder or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment] # is one
                return spec
        return None


class _Loader:
    """What found the module loads it; then what is wanted is done."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return] # as its own does

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        name = module.__name__
        always = [_wanted_always.get(pattern, ()) for pattern in _patterns(name)]
        for action in (*_wanted.pop(name, ()), *(each for actions in always for each in actions)):
            action(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


# ---- what is known ----

# Their callbacks find the call that is going on by a thread-local variable, and nothing else of the
# kind is kept there (seen in the sources of 1.9 to 1.18: ccallback.h, f2py's cb_rules).
_SCIPY_KEEPS = """
integrate._dop integrate._lsoda integrate._odepack integrate._quadpack integrate._vode
linalg._flapack linalg._interpolative ndimage._nd_image optimize._cobyla optimize._minpack
sparse.linalg._propack sparse.linalg._propack._cpropack sparse.linalg._propack._dpropack
sparse.linalg._propack._spropack sparse.linalg._propack._zpropack stats._unuran.unuran_wrapper
_lib._ccallback_c _lib._test_ccallback
"""
# They call back while they hold a lock. Before 1.17.
_SCIPY_LOCKS = """
integrate._ode integrate._odepack_py odr._odrpack optimize._cobyla_py optimize._cobyqa_py
sparse.linalg._eigen.arpack.arpack
"""
# Static variables of Fortran, and before 1.15 no lock. Before 1.17.
_SCIPY_TURNS = (
    ("integrate._odepack:odeint",),
    ("integrate._vode:dvode", "integrate._vode:zvode"),
    ("integrate._lsoda:lsoda",),
    ("integrate._ode:vode.runner", "integrate._ode:zvode.runner"),
    ("integrate._ode:lsoda.runner",),
)


# Rust's crate `stacker` is in it, from 0.20 on. Names of its extension module: before 1.34, then.
_POLARS = """
polars.polars _polars_runtime_32._polars_runtime _polars_runtime_64._polars_runtime
_polars_runtime_compat._polars_runtime
"""


def _recurse_in_polars(module: Any) -> None:
    """The least that does, found in 0.20 to 2.1: an expression is looked through, by its levels."""
    module.col("").meta_undo_aliases()


def _is_old_scipy() -> bool:
    version = getattr(sys.modules.get("scipy"), "__version__", "")
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return major == "1" and minor.isdecimal() and int(minor) < 17


def _if_old_scipy(action: _Action, module: ModuleType) -> None:
    if _is_old_scipy():
        action(module)


def _scipy(names: Iterable[str]) -> list[str]:
    return [f"scipy.{name}" for name in names]


def _apply_known() -> None:
    for name in _scipy(_SCIPY_KEEPS.split()):
        when_imported(name, _keep_if_any)
    for name in _scipy(_SCIPY_LOCKS.split()):
        when_imported(name, functools.partial(_if_old_scipy, _replace_locks))
    for name in _POLARS.split():
        when_imported(name, functools.partial(_follow_if_it_shows, _recurse_in_polars))
    when_imported("_jpype", _start_java_on_main_stack)
    when_imported("jnius", _enter_java_on_main_stack)
    for names in _SCIPY_TURNS:
        lock = RLock()
        for name in _scipy(names):
            module_name, _, path = name.partition(":")
            action = functools.partial(_serialize, path, lock)
            when_imported(module_name, functools.partial(_if_old_scipy, action))


# ---- Java ----


class _JavaTables:
    """Where a Java machine in this process is entered: by tables of functions, each alike since
    JNI was made, so that all of C's calls of Java pass them: those of JPype and of pyjnius."""

    INVOKE = range(3, 8)  # of the machine: from DestroyJavaVM to AttachCurrentThreadAsDaemon
    CALLS = range(4, 233)  # of a thread: from GetVersion to GetObjectRefType
    GET_ENV, VERSION = 6, 0x00010002
    _tables: ClassVar[list[Any]] = []  # ours, which the machine uses as long as it lives

    @classmethod
    def enter_on_main_stack(cls) -> None:
        """See that Java runs on the thread's own stack, if there is a machine."""
        import ctypes

        path = _mapped("libjvm.so")
        if path is None:
            return
        found, count = (ctypes.c_void_p * 1)(), ctypes.c_int()
        ctypes.CDLL(path).JNI_GetCreatedJavaVMs(found, 1, ctypes.byref(count))
        if count.value == 0:
            return
        machine = ctypes.cast(found[0] or 0, ctypes.POINTER(ctypes.c_void_p))
        invoke = ctypes.cast(machine[0] or 0, ctypes.POINTER(ctypes.c_void_p))
        get_env = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int
        )(invoke[cls.GET_ENV] or 0)
        environment = ctypes.c_void_p()
        if get_env(found[0], ctypes.byref(environment), cls.VERSION) == 0:
            calls = ctypes.cast(environment, ctypes.POINTER(ctypes.c_void_p))[0] or 0
            _core.enter_on_main_stack(calls + 8 * cls.CALLS.start, len(cls.CALLS))
        # The machine's own table may not be written to, but the place that names it may.
        table = (ctypes.c_void_p * cls.INVOKE.stop)(*invoke[: cls.INVOKE.stop])
        start = ctypes.addressof(table) + 8 * cls.INVOKE.start
        _core.enter_on_main_stack(start, len(cls.INVOKE))
        cls._tables.append(table)
        machine[0] = ctypes.addressof(table)


def _mapped(name: str) -> str | None:
    """The path of a library that is in this process's memory."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            if path.endswith(f"/{name}"):
                return f"/{path}"
    return None


def _start_java_on_main_stack(module: ModuleType) -> None:
    """JPype's `_jpype`: a Java machine is started on the thread's own stack, and entered there."""
    startup = vars(module).get("startup")
    if startup is None:
        return

    def start(*args: Any, **kwargs: Any) -> Any:
        try:
            return _core.on_main_stack(startup, *args, **kwargs)
        finally:
            _core.on_main_stack(_JavaTables.enter_on_main_stack)

    vars(module)["startup"] = start
    _core.on_main_stack(_JavaTables.enter_on_main_stack)


def _enter_java_on_main_stack(module: ModuleType) -> None:
    """pyjnius, which starts a machine when it is imported."""
    _core.on_main_stack(_JavaTables.enter_on_main_stack)


def install_finder() -> None:
    """Apply what is known, now and to what will be imported. Called when fibril is.

    Switches: never. Threads: any.
    """
    if _Finder not in sys.meta_path:
        _apply_known()
        sys.meta_path.insert(0, _Finder)
