"""What stands for a function of C is one: no method in a class, and the same to whoever looks."""

import importlib
import inspect
import os
import pickle
from types import FunctionType

import pytest

from fibril._builtin import builtin, unsigned_builtin
from fibril.monkey.patches import PARTS, Patch, _find
from tests.conftest import Interpreter

LINES = [
    line
    for lines in PARTS.values()
    for line in lines
    if inspect.isbuiltin(vars(importlib.import_module(line.module)).get(line.name))
]


def told(number: int, /, factor: int = 2, *, offset: int = 0) -> int:
    """Told."""
    return number * factor + offset


def test_a_class_that_keeps_it_does_not_make_it_a_method() -> None:
    class Clock:
        tell = builtin(told)

    assert Clock().tell(2) == 4
    assert Clock().tell(2, factor=3, offset=1) == 7


@pytest.mark.loses("each function of C that is made lives as long as the process")
def test_it_has_the_signature_the_docstring_and_the_names_of_what_it_calls() -> None:
    made = builtin(told)
    assert inspect.isbuiltin(made)
    assert (made.__module__, made.__name__, made.__qualname__) == (__name__, "told", "told")
    assert str(inspect.signature(made)) == "(number, /, factor=2, *, offset=0)"
    assert made.__doc__ == "Told."
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(unsigned_builtin(told))


@pytest.mark.loses("each function of C that is made lives as long as the process")
def test_what_it_calls_raises_as_ever() -> None:
    made = builtin(told)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'number'"):
        made()  # type: ignore[call-arg]
    with pytest.raises(ChildProcessError):
        _find(Patch("os", "waitpid", "fibril._io.children", "waitpid"))(1, os.WNOHANG)


def test_after_the_patch_it_is_pickled_by_where_it_stands(interpreter: Interpreter) -> None:
    """A process that is not patched, or a sub-interpreter, has its own there."""
    pickled = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        import os, pickle, select, signal, time
        functions = [time.sleep, os.waitpid, os.read, select.select, signal.sigwait]
        texts = [pickle.dumps(function, 0) for function in functions]
        print([pickle.loads(text) is function for text, function in zip(texts, functions)])
        print(any(b"fibril" in text for text in texts))
        """)
    assert pickled == "[True, True, True, True, True]\nFalse\n"


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.module}.{line.name}")
def test_each_replacement_of_a_function_of_c_is_no_function_of_python(line: Patch) -> None:
    original = getattr(importlib.import_module(line.module), line.name)
    replacement = _find(line)
    assert not isinstance(replacement, FunctionType)
    if inspect.isbuiltin(replacement):
        assert pickle.loads(pickle.dumps(replacement)) is replacement
        assert not original.__text_signature__ or replacement.__text_signature__
