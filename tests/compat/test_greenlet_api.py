"""greenlet's C interface: good and bad arguments for each function, C subclasses, the header."""

import subprocess
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from fibril import compat
from tests.conftest import PACKAGE_PARENT, Interpreter

START = """
import os, sys
from fibril import compat
compat.install()
import greenlet
import greenlet_calls as c
NULL = c.NULL

def refused(kind, call, *args):
    try:
        call(*args)
    except kind as error:
        return str(error)
    raise AssertionError(f"{call} took {args}")
"""


@pytest.fixture
def run(interpreter: Interpreter, extensions: Callable[[str], Path]) -> Callable[[str], str]:
    """Runs lines in a new interpreter that can import greenlet_calls; what they print."""
    path = f"{PACKAGE_PARENT}:{extensions('greenlet_calls.c')}"

    def run(text: str) -> str:
        return interpreter.out(START + textwrap.dedent(text), PYTHONPATH=path)

    return run


def test_the_table_holds_the_module_s_objects(run: Callable[[str], str]) -> None:
    run("""
        assert c.Type is greenlet.greenlet and c.Error is greenlet.error
        assert c.Exit is greenlet.GreenletExit and c.VERSION == "1.0.0"
        assert c.Type.__basicsize__ == 40
        assert 'capsule object "greenlet._C_API"' in repr(greenlet._C_API)
        """)


def test_check_knows_greenlets_and_subclasses(run: Callable[[str], str]) -> None:
    run("""
        class Sub(greenlet.greenlet): pass
        assert c.check(greenlet.greenlet()) and c.check(Sub()) and c.check(greenlet.getcurrent())
        assert not c.check(NULL) and not c.check(None) and not c.check(greenlet.greenlet)
        """)


def test_new_makes_a_greenlet_of_the_current_one(run: Callable[[str], str]) -> None:
    run("""
        main = greenlet.getcurrent()
        fiber = c.new(len, NULL)
        assert type(fiber) is greenlet.greenlet and fiber.run is len and fiber.parent is main
        other = c.new(NULL, fiber)
        assert other.parent is fiber and not hasattr(other, "run")
        assert c.new(len, fiber).parent is fiber and fiber.switch("abc") == 3
        before = sys.getrefcount(main)
        for parent in ("no greenlet", 3):
            refused(TypeError, c.new, len, parent)
        assert sys.getrefcount(main) == before
        """)


def test_get_current_is_the_running_one(run: Callable[[str], str]) -> None:
    run("""
        main = greenlet.getcurrent()
        assert c.get_current() is main
        fiber = greenlet.greenlet(c.get_current)
        assert fiber.switch() is fiber
        count = sys.getrefcount(main)
        for _ in range(100): c.get_current()
        assert sys.getrefcount(main) == count
        """)


def test_get_current_in_a_thread_makes_that_thread_s_main_one(run: Callable[[str], str]) -> None:
    run("""
        import threading
        seen = []
        thread = threading.Thread(target=lambda: seen.append(c.states(c.get_current())))
        thread.start(); thread.join()
        assert seen == [(1, 1, 1)]
        """)


def test_get_current_is_refused_while_the_interpreter_shuts_down(
    interpreter: Interpreter, extensions: Callable[[str], Path]
) -> None:
    text = START + textwrap.dedent("""
        c.get_current()
        class Late:
            def __del__(self, c=c, refused=refused, write=os.write):
                write(1, refused(RuntimeError, c.get_current).encode())
        late = Late()
        """)
    path = f"{PACKAGE_PARENT}:{extensions('greenlet_calls.c')}"
    assert "the interpreter is shutting down" in interpreter.out(text, PYTHONPATH=path)


def test_switch_hands_over_as_in_python(run: Callable[[str], str]) -> None:
    run("""
        main = greenlet.getcurrent()
        def body(*args, **kwargs):
            got = args, kwargs
            while True:
                got = main.switch(got)
        fiber = greenlet.greenlet(body)
        assert c.switch(fiber, (1, 2), {"a": 3}) == ((1, 2), {"a": 3})
        assert c.switch(fiber, NULL, NULL) == ()
        assert c.switch(fiber, (), {}) == ()
        assert c.switch(fiber, (4,), NULL) == 4
        assert c.switch(fiber, (4, 5), {}) == (4, 5)
        assert c.switch(fiber, NULL, {"b": 6}) == {"b": 6}
        assert c.switch(fiber, (7,), {"b": 6}) == ((7,), {"b": 6})
        assert c.switch(fiber, (8,), "no dict is ignored") == 8
        assert c.switch(greenlet.greenlet(lambda: 9), NULL, NULL) == 9
        """)


def test_switch_refuses_what_it_cannot_do(run: Callable[[str], str]) -> None:
    run("""
        import threading
        fiber = greenlet.greenlet(lambda: 1)
        assert "not NULL" in refused(TypeError, c.switch, NULL, NULL, NULL)
        assert "not str" in refused(TypeError, c.switch, "fiber", NULL, NULL)
        assert "as a tuple, not list" in refused(TypeError, c.switch, fiber, [1], NULL)
        assert not fiber.dead
        refused(AttributeError, c.switch, greenlet.greenlet(), NULL, NULL)
        refused(TypeError, c.switch, greenlet.greenlet(3), NULL, NULL)
        refused(ZeroDivisionError, c.switch, greenlet.greenlet(lambda: 1 / 0), NULL, NULL)
        foreign = []
        def elsewhere():
            foreign.append(greenlet.getcurrent())
        thread = threading.Thread(target=elsewhere)
        thread.start(); thread.join()
        refused(greenlet.error, c.switch, foreign[0], NULL, NULL)
        """)


def test_throw_raises_in_the_fiber(run: Callable[[str], str]) -> None:
    run("""
        def body():
            try:
                main.switch()
            except ValueError as error:
                return error.args, error.__traceback__.tb_next is not None
        def make():
            raise KeyError
        main = greenlet.getcurrent()
        try: make()
        except KeyError as error: tb = error.__traceback__
        for value, traceback, args, has_traceback in (
            (NULL, NULL, (), False), (None, None, (), False), ("text", NULL, ("text",), False),
            (ValueError(1, 2), tb, (1, 2), True),
        ):
            fiber = greenlet.greenlet(body)
            fiber.switch()
            assert c.throw(fiber, ValueError, value, traceback) == (args, has_traceback)
        fiber = greenlet.greenlet(body)
        fiber.switch()
        assert c.throw(fiber, ValueError("instance"), NULL, NULL) == (("instance",), False)
        exit = greenlet.GreenletExit()
        assert c.throw(greenlet.greenlet(body), exit, NULL, NULL) is exit
        assert c.throw(fiber, exit, NULL, NULL) is exit
        refused(ValueError, c.throw, greenlet.greenlet(body), ValueError, NULL, NULL)
        """)


def test_throw_refuses_what_it_cannot_do(run: Callable[[str], str]) -> None:
    run("""
        fiber = greenlet.greenlet(int)
        assert "not NULL" in refused(TypeError, c.throw, NULL, ValueError, NULL, NULL)
        assert "not int" in refused(TypeError, c.throw, 3, ValueError, NULL, NULL)
        assert "not NULL" in refused(TypeError, c.throw, fiber, NULL, NULL, NULL)
        assert "not str" in refused(TypeError, c.throw, fiber, "text", NULL, NULL)
        assert "separate value" in refused(TypeError, c.throw, fiber, ValueError(), "text", NULL)
        assert "third argument" in refused(TypeError, c.throw, fiber, ValueError, NULL, "text")
        assert not fiber.dead and fiber.switch() == 0
        """)


def test_throw_at_tasks_and_the_hub_is_theirs(run: Callable[[str], str]) -> None:
    run("""
        import fibril
        task = fibril.spawn(print, "never")
        c.throw(task, greenlet.GreenletExit, "thrown", NULL)
        assert task.get(timeout=5).args == ("thrown",)
        refused(KeyError, c.throw, fibril.get_hub(), KeyError, NULL, NULL)
        """)


def test_parents_are_set_and_asked_for(run: Callable[[str], str]) -> None:
    run("""
        import fibril
        main = greenlet.getcurrent()
        fiber, other = greenlet.greenlet(int), greenlet.greenlet(int)
        assert c.set_parent(fiber, other) == 0 and fiber.parent is other
        assert c.get_parent(fiber) is other and c.get_parent(other) is main
        assert c.get_parent(main) is NULL
        assert c.get_parent(fibril.spawn(int)) is fibril.get_hub()
        refused(ValueError, c.set_parent, other, fiber)
        refused(AttributeError, c.set_parent, main, fiber)
        refused(AttributeError, c.set_parent, fiber, NULL)
        refused(TypeError, c.set_parent, fiber, 3)
        refused(TypeError, c.set_parent, 3, fiber)
        assert fiber.parent is other and other.parent is main
        count = sys.getrefcount(other)
        for _ in range(100): c.get_parent(fiber), c.set_parent(fiber, other)
        assert sys.getrefcount(other) == count
        """)


def test_states_of_a_life(run: Callable[[str], str]) -> None:
    run("""
        main = greenlet.getcurrent()
        fiber = greenlet.greenlet(lambda: main.switch(c.states(fiber)))
        assert c.states(main) == (1, 1, 1) and c.states(fiber) == (0, 0, 0)
        assert fiber.switch() == (0, 1, 1)
        assert c.states(fiber) == (0, 1, 1)
        fiber.switch()
        assert c.states(fiber) == (0, 1, 0)
        assert "PyGreenlet_MAIN() needs a greenlet, not int" in refused(TypeError, c.states, 3)
        """)


def test_every_function_refuses_null(run: Callable[[str], str]) -> None:
    run("assert c.all_with_null() == 7")


def test_a_subclass_in_c_has_its_own_fields_and_is_collected(run: Callable[[str], str]) -> None:
    run("""
        import gc, weakref
        class Derived(c.Counted):
            def run(self, number):
                self.count += number
                self.note = [self]
                try:
                    main.switch("parked")
                finally:
                    ended.append(self.count)
        main, ended = greenlet.getcurrent(), []
        for kind in (c.Counted, Derived):
            fiber = kind(lambda: 5) if kind is c.Counted else kind()
            fiber.count, fiber.other = 40, "in the dict"
            assert (fiber.count, fiber.other, hasattr(fiber, "note")) == (40, "in the dict", False)
        assert fiber.switch(2) == "parked" and fiber.count == 42
        seen = weakref.ref(fiber)
        del fiber
        assert seen() is not None
        gc.collect()
        assert ended == [42] and seen() is None
        """)


def test_a_parked_subclass_in_c_is_unwound_when_it_is_dropped(run: Callable[[str], str]) -> None:
    run("""
        def body():
            try:
                main.switch()
            finally:
                ended.append(greenlet.getcurrent().note)
        main, ended = greenlet.getcurrent(), []
        fiber = c.Counted(body)
        fiber.note = "still there"
        fiber.switch()
        del fiber
        assert ended == ["still there"]
        """)


def test_calls_from_c_leak_nothing(run: Callable[[str], str]) -> None:
    run("""
        import gc
        def once():
            fiber = c.new(lambda *args, **kwargs: c.get_parent(c.get_current()).switch(), NULL)
            c.switch(fiber, (1, 2), {"a": 1})
            c.set_parent(fiber, c.get_current())
            c.throw(fiber, greenlet.GreenletExit, NULL, NULL)
            for bad in (NULL, 3):
                refused(TypeError, c.switch, bad, NULL, NULL)
                refused(TypeError, c.throw, bad, KeyError, NULL, NULL)
        def grown():
            before = sys.getallocatedblocks()
            for _ in range(300): once()
            gc.collect()
            return sys.getallocatedblocks() - before
        grown()
        assert min(grown() for _ in range(3)) < 100
        """)


def test_an_extension_without_greenlet_says_so(
    interpreter: Interpreter, extensions: Callable[[str], Path]
) -> None:
    # -S: without what is installed.
    path = str(extensions("greenlet_calls.c"))
    done = interpreter.run("import greenlet_calls", "-S", PYTHONPATH=path)
    assert done.status == 1
    assert 'could not import module "greenlet"' in done.err or "'greenlet'" in done.err


@pytest.mark.parametrize("compiler", [["cc", "-std=gnu11", "-xc"], ["cc", "-std=c99", "-xc"]])
def test_the_header_alone_compiles_without_a_warning(compiler: list[str], tmp_path: Path) -> None:
    (tmp_path / "unit.c").write_text(
        '#include <greenlet/greenlet.h>\n#include "greenlet.h" /* again, by its other path */\n'
        "int size = sizeof(PyGreenlet);\n",
        encoding="utf-8",
    )
    include = compat.get_include()
    command = [*compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{include}"]
    command += [f"-I{include}/greenlet", f"-isystem{sysconfig.get_paths()['include']}"]
    done = subprocess.run(
        [*command, str(tmp_path / "unit.c")], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
