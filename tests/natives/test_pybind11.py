"""pybind11 keeps the calls that are going on in a thread-local variable of each extension."""

import shutil
from pathlib import Path

import pytest

from tests.compat.conftest import compile_extension, cpp_environment
from tests.conftest import PACKAGE_PARENT, Interpreter

pytestmark = pytest.mark.natives
pybind11 = pytest.importorskip("pybind11", reason="pybind11 has no wheel here")

SOURCE = """
#include <pybind11/pybind11.h>
#include <string_view>
namespace py = pybind11;
static py::tuple twice(std::string_view name, py::object fn)
{
    py::object first = fn();
    py::object second = fn();
    return py::make_tuple(std::string(name), first, second);
}
PYBIND11_MODULE(calls_back, module) { module.def("twice", &twice); }
"""
PROGRAM = """
import fibril
from fibril import libraries
libraries.keep_thread_locals("calls_back")
import calls_back
def one(number):
    return calls_back.twice(f"n{number}", lambda: (fibril.sleep(0.001 * (number % 3)), number)[1])
tasks = [fibril.spawn(one, number) for number in range(6)]
print([task.get() for task in tasks] == [(f"n{n}", n, n) for n in range(6)])
"""


def test_calls_of_several_fibers_may_be_interleaved(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler here (Debian: apt install g++)")
    source = tmp_path / "calls_back.cpp"
    source.write_text(SOURCE, encoding="utf-8")
    compile_extension(source, tmp_path, include=pybind11.get_include())
    path = f"{PACKAGE_PARENT}:{tmp_path}"
    done = interpreter.run(PROGRAM, PYTHONPATH=path, **cpp_environment())
    assert (done.status, done.out) == (0, "True\n"), done
