"""Where gevent's own tests are, and what `import gevent` gets in the processes that run them.

The idea: gevent's wheel, which has the tests, is installed beside fibril. A process without further
variables runs them with the real gevent: the control. One that has `variables()` gets fibril's
packages, by what `fibril shim` writes, and of the wheel only gevent.tests and gevent.testing,
through a folder with links to them at the end of the package's path. There, too, is what those two
import of gevent's private modules (stand_ins.py).

Invariant: nothing of gevent's is copied, and nothing else of it can be imported beside fibril's.
"""

import importlib.metadata
import os
import sys
from pathlib import Path

from fibril.compat import shim

HERE = Path(__file__).parent
RELEASE = "{}.{}.{}".format(*sys.version_info)
WHEEL = importlib.metadata.distribution("gevent")
FOLDER = HERE.parents[1] / "build" / "gevent-suite" / f"{WHEEL.version}-{RELEASE}"
TESTS = ("tests", "testing")
EXTENDED = """
import sys

sys.modules["gevent"].__path__.append({folder!r})
import gevent.stand_ins

gevent.stand_ins.fill()
"""


def modules() -> list[str]:
    """The names of gevent's test modules."""
    return sorted(path.stem for path in wheel_folder("tests").glob("test_*.py"))


def wheel_folder(name: str) -> Path:
    return Path(str(WHEEL.locate_file("gevent"))) / name


def make() -> None:
    """Write the folder that `variables()` names."""
    alias, tests = FOLDER / "alias", FOLDER / "tests"
    shim.write(str(alias))
    tests.mkdir(exist_ok=True)
    links = {tests / name: wheel_folder(name) for name in TESTS}
    links[tests / "stand_ins.py"] = HERE / "stand_ins.py"
    for link, target in links.items():
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    with (alias / "gevent" / "__init__.py").open("a", encoding="utf-8") as package:
        package.write(EXTENDED.format(folder=str(tests)))


def variables() -> dict[str, str]:
    """Of a process in which `import gevent` gets fibril."""
    return {"PYTHONPATH": os.fspath(FOLDER / "alias")}
