"""Where eventlet's own tests are, and the two Pythons that run them.

The idea: the sdist has the tests, and nothing but these is taken from it. The control is an
environment with the real eventlet and pytest. fibril's is the one that runs this, with what
`fibril shim --eventlet` writes first on its path.

Invariant: beside the tests there is no eventlet in the folder that they run in, which Python would
find there before any other.
"""

import subprocess
import sys
import tarfile
import venv
from pathlib import Path

from fibril import compat
from fibril.compat import shim

EVENTLET = compat.VERSIONS["eventlet"]
RELEASE = "{}.{}.{}".format(*sys.version_info)
FOLDER = Path(__file__).parents[2] / "build" / "eventlet-suite" / f"{EVENTLET}-{RELEASE}"
TESTS, ALIAS, CONTROL = FOLDER / "source", FOLDER / "alias", FOLDER / "control"
BESIDE = FOLDER / "beside"  # what eventlet's programs have with it: dnspython
CONTROL_PYTHON = str(CONTROL / "bin" / "python")


def make() -> None:
    """See to all that is needed; the first time it is fetched, which takes a minute."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shim.write(str(ALIAS), ("eventlet", "greenlet"))
    if not TESTS.exists():
        _fetch_tests()
    if not (CONTROL / "ready").exists():
        venv.create(CONTROL, with_pip=True, clear=True)
        _pip(CONTROL_PYTHON, "install", "--quiet", f"eventlet=={EVENTLET}", "pytest>=8.4")
        (CONTROL / "ready").touch()
    if not BESIDE.exists():
        packages = CONTROL / "lib" / f"python{RELEASE.rpartition('.')[0]}" / "site-packages"
        BESIDE.mkdir()
        (BESIDE / "dns").symlink_to(packages / "dns")


def _fetch_tests() -> None:
    wanted = f"eventlet=={EVENTLET}"
    _pip(
        sys.executable, "download", "--quiet", "--no-deps", "--no-binary=eventlet",
        f"--dest={FOLDER}", wanted,
    )  # fmt: skip
    fresh = FOLDER / "fresh"
    with tarfile.open(FOLDER / f"eventlet-{EVENTLET}.tar.gz") as archive:
        top = f"eventlet-{EVENTLET}/"
        members = [one for one in archive.getmembers() if one.name.startswith(f"{top}tests/")]
        for member in members:
            member.name = member.name.removeprefix(top)
        archive.extractall(fresh, members, filter="data")
    # Else pytest would take the project's own settings, from above.
    (fresh / "pytest.ini").write_text("[pytest]\npython_files = *.py\n", encoding="utf-8")
    fresh.rename(TESTS)


def _pip(python: str, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", *arguments], check=True)


def files() -> list[str]:
    """The names of the test files."""
    found = {*TESTS.glob("tests/*_test.py"), *TESTS.glob("tests/test_*.py")}
    return sorted(path.stem for path in found)


def variables(*, is_control: bool) -> dict[str, str]:
    """More of the environment of a process that runs them."""
    folder = {"EVENTLET_TESTS_FOLDER": str(TESTS)}
    return folder if is_control else {**folder, "PYTHONPATH": f"{ALIAS}:{BESIDE}"}
