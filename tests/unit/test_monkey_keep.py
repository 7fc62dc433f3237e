"""Modules that are never to be patched, and the options of each patch."""

from pathlib import Path

import pytest

from tests.conftest import Interpreter

LIBRARY = (
    "from time import sleep\nfrom threading import Lock\nimport time\ndef f(wait=sleep): pass\n"
)


@pytest.fixture
def library(interpreter: Interpreter) -> Interpreter:
    for name in ("early", "late", "other"):
        Path(interpreter.folder, f"{name}.py").write_text(LIBRARY, encoding="utf-8")
    package = Path(interpreter.folder, "package")
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "inner.py").write_text(LIBRARY, encoding="utf-8")
    return interpreter


CHECK = """
    import time, threading
    from fibril import monkey
    def is_native(module):
        return (module.sleep is monkey.get_original("time", "sleep"),
                module.Lock is monkey.get_original("threading", "Lock"))
"""


def test_a_marked_module_has_the_originals_whenever_it_is_imported(library: Interpreter) -> None:
    out = library.out(
        CHECK
        + """
    import early, other
    monkey.keep("early", "late", "package")
    monkey.patch_all()
    import late, package.inner
    print(is_native(early), is_native(late), is_native(package.inner), is_native(other))
    print(early.f.__defaults__ == (early.sleep,), late.time is time)
    monkey.keep("other", "late")
    print(is_native(other))
    """
    )
    assert out.splitlines() == [
        "(True, True) (True, True) (True, True) (False, False)",
        "True True",
        "(True, True)",
    ]


def test_the_environment_marks_modules(library: Interpreter) -> None:
    text = CHECK + "    import early; monkey.patch_all(); import late\n"
    text += "    print(is_native(early), is_native(late))\n"
    assert library.out(text, FIBRIL_KEEP="early, late") == "(True, True) (True, True)\n"


def test_a_module_of_the_standard_library_can_be_marked(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        from fibril import monkey
        monkey.keep("ssl", "threading")
        import ssl, socket, _thread
        before = ssl.SSLSocket.read, _thread.allocate_lock
        print(monkey.patch_all(), before == (ssl.SSLSocket.read, _thread.allocate_lock))
        print(monkey.is_module_patched("socket"), monkey.is_module_patched("ssl"))
        try:
            monkey.keep("socket", "select")
        except RuntimeError as error:
            print(error)
    """)
    lines = out.splitlines()
    assert lines[:2] == ["True True", "True False"]
    assert lines[2].startswith("cannot keep 'socket' as it is: it is patched already. Call fibril")


def test_each_argument_of_gevents_is_taken(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import logging, _threading_local
        before = logging.LogRecord.__init__, _threading_local.local, logging._lock
        import inspect
        from fibril import monkey
        print(monkey.patch_thread(threading=True, _threading_local=False, Event=False,
                                  logging=False, existing_locks=False))
        print(before == (logging.LogRecord.__init__, _threading_local.local, logging._lock))
        print(monkey.patch_socket(dns=False, aggressive=False), monkey.patch_select(False))
        print(monkey.patch_all(socket=True, dns=True, time=True, select=True, thread=True, os=True,
              ssl=True, subprocess=True, sys=True, aggressive=False, Event=True, builtins=True,
              signal=True, queue=True, contextvars=True))
    """)
    assert out.split() == ["True"] * 5


def test_import_order_does_not_matter(interpreter: Interpreter) -> None:
    """Each name that is patched, imported by name before and after, is the same afterwards."""
    out = interpreter.out("""
        import importlib, sys, types
        from fibril.monkey.patches import PARTS
        for name in sorted({line.module for lines in PARTS.values() for line in lines}):
            if not name.startswith("fibril"):
                importlib.import_module(name)
        names = sorted({(line.module, line.name) for lines in PARTS.values() for line in lines
                        if not line.module.startswith(("fibril", "_queue", "_thread"))})
        early = types.ModuleType("early")
        sys.modules["early"] = early
        for module, name in names:
            value = sys.modules[module]
            for part in name.split("."):
                value = getattr(value, part, None)
            if "." not in name and callable(value):
                setattr(early, f"{module}_{name}", value)
            elif "." in name and name.split(".")[0] not in vars(early):
                setattr(early, name.split(".")[0], getattr(sys.modules[module], name.split(".")[0]))
        from fibril import monkey
        monkey.patch_all()
        count = 0
        for name, value in vars(early).items():
            if name.startswith("__"):
                continue
            for module, attribute in names:
                if name in (f"{module}_{attribute}", attribute.split(".")[0]):
                    count += 1
                    now = getattr(sys.modules[module], attribute.split(".")[0])
                    assert value is now, (name, value, now)
        print(count > 60)
    """)
    assert out == "True\n"


def test_sets_of_functions_have_what_is_there_now(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os
        before = {name: len(vars(os)[name]) for name in dir(os) if name.startswith("supports_")
                  and isinstance(vars(os)[name], set)}
        from fibril import monkey
        monkey.patch_all()
        print(os.open in os.supports_dir_fd, os.stat in os.supports_dir_fd)
        print({name: len(vars(os)[name]) for name in before} == before)
    """)
    assert out == "True True\nTrue\n"
