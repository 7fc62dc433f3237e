"""Extensions for the tests of greenlet's C interface, compiled against fibril's header.

They import `greenlet`, which is the real one or fibril's once a process has one of them: so they
are used in interpreters of their own.
"""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from fibril import compat

HERE = Path(__file__).parent
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]


def cpp_environment() -> dict[str, str]:
    """What an interpreter needs that will load C++: ASan looks for its throw once, at the start."""
    if os.environ.get("FIBRIL_SANITIZER") != "address":
        return {}
    return {"LD_PRELOAD": f"{os.environ['LD_PRELOAD']}:libstdc++.so.6"}


def compile_extension(source: Path, folder: Path, *, include: str) -> Path:
    """Compile one C or C++ file as an extension module of the same name; its path."""
    is_cpp = source.suffix == ".cpp"
    target = folder / (source.stem + str(sysconfig.get_config_var("EXT_SUFFIX")))
    command = ["c++", "-std=c++17"] if is_cpp else ["cc", "-std=gnu11"]
    command += [*WARNINGS, "-O1", "-g", "-shared", "-fPIC", f"-I{include}"]
    command += [f"-I{sysconfig.get_paths()['include']}", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`extensions("name.c")` compiles a file of this folder, once; where the module lies."""
    folder = tmp_path_factory.mktemp("extensions")
    made: set[str] = set()

    def extension(name: str) -> Path:
        if name.endswith(".cpp") and shutil.which("c++") is None:
            pytest.skip("no C++ compiler here (Debian: apt install g++)")
        if name not in made:
            compile_extension(HERE / name, folder, include=compat.get_include())
            made.add(name)
        return folder

    return extension
