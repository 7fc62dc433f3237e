"""wheels.py: the sdist, and of it a wheel for each CPython minor version that is here, tried out.

    python -m tools.wheels [VERSION…]     all versions, or some: 3.13

The idea: a user gets the one wheel of his minor version, whoever built it. So the interpreter whose
C library is the oldest builds it, and every release of that version that is here must run it. Each
gets an environment with that wheel and `requests` in it, which seed program 2 imports, and nothing
else: no pip, nothing of this tree. There the seed programs run, watched from outside by their own
tests (tests/programs).

What is built is what is committed. The wheels lie in build/wheels, named by auditwheel for the
systems that they are for, but for none that is older than what fibril promises: nothing is tested
there (tests/install/test_glibc.py). Those for musl and aarch64 come from
.github/workflows/release.yml only.

Runs inside the `check` environment of tools/env.py, for its meson and auditwheel.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tools import backend, matrix

TOP = Path(__file__).resolve().parent.parent
OUTPUT = TOP / "build" / "wheels"
PROMISED = "manylinux_2_28"
PIP = ("-m", "pip", "--disable-pip-version-check", "-q")
PROBE = "import platform; print(platform.libc_ver())"
PROOF = "import fibril; print(fibril.__file__)"
SEED_PROGRAMS = (str(TOP / "tests" / "programs"), "-k", "gevent or greenlet")


class Place(NamedTuple):
    """A CPython, and an environment of its own."""

    name: str  # "3.13.15", or what tools/pythons calls it
    enter: tuple[str, ...]  # a command that runs the rest of it in the system where it is
    python: str  # the command, there

    @property
    def folder(self) -> Path:
        return OUTPUT / f"venv-{self.name}"

    @property
    def inside(self) -> tuple[str, ...]:
        """The command of the environment's own Python."""
        return (*self.enter, str(self.folder / "bin" / "python"))

    def glibc(self) -> list[int]:
        return numbers(printed(*self.enter, self.python, "-c", PROBE))


def numbers(text: str) -> list[int]:
    """What orders versions, and tags with versions in them."""
    return [int(number) for number in re.findall(r"\d+", text)]


def run(*command: str) -> None:
    """In a folder that has nothing to import."""
    print("$ " + shlex.join(command), flush=True)
    code = subprocess.run(command, cwd=OUTPUT, check=False).returncode
    if code:
        sys.exit(f"tools/wheels.py: this failed (exit code {code}): {shlex.join(command)}")


def printed(*command: str) -> str:
    done = subprocess.run(command, cwd=OUTPUT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def places(version: str) -> list[Place]:
    """Where that version is, the oldest system first."""
    commands = {one.release: one.command for one in matrix.find(version)[0]}
    old = [name for name in matrix.listed() if name.startswith(f"{version}-")]  # 3.11-bullseye
    commands |= {name: matrix.inside(name, "python3") for name in old}
    found = [Place(name, command[:-1], command[-1]) for name, command in commands.items()]
    return sorted(found, key=Place.glibc)


def make_sdist() -> Path:
    if not (TOP / ".git").exists():
        sys.exit("cannot build an sdist: it is made of what git has, and this is no repository.")
    for line in printed("git", "-C", str(TOP), "status", "--short").splitlines():
        print(f"wheels: not committed, so not in them: {line}", flush=True)
    return OUTPUT / str(backend.build_sdist(str(OUTPUT)))


def make_wheel(sdist: Path, place: Place) -> Path:
    """As pip builds it for a user, then named for the systems that it is for."""
    built = OUTPUT / f"built-{place.name}"
    run(*place.inside, *PIP, "wheel", "--no-deps", "--wheel-dir", str(built), str(sdist))
    [wheel] = built.iterdir()
    auditwheel = (sys.executable, "-m", "auditwheel")
    tag = str(json.loads(printed(*auditwheel, "show", "--json", str(wheel)))["overall_tag"])
    if tag.startswith("manylinux"):
        tag = max(tag, re.sub(r"^manylinux_\d+_\d+", PROMISED, tag), key=numbers)
    repair = ("repair", "--only-plat", "--plat", tag, "--wheel-dir", str(OUTPUT))
    run(*auditwheel, *repair, str(wheel))
    [repaired] = OUTPUT.glob(f"{wheel.name.rpartition('-')[0]}-*.whl")
    return repaired


def try_out(wheel: Path, place: Place) -> None:
    run(*place.inside, *PIP, "install", str(wheel), "requests")
    run(*place.inside, *PIP, "uninstall", "--yes", "setuptools", "pip")
    imported = printed(*place.inside, "-c", PROOF)
    if not Path(imported).is_relative_to(place.folder):
        sys.exit(
            f"tools/wheels.py: {place.name} imports another fibril than the wheel's: {imported}"
        )
    there = f"FIBRIL_TEST_PYTHON={shlex.join(place.inside)}"
    run("env", there, sys.executable, "-m", "pytest", "-q", *SEED_PROGRAMS)


def make(sdist: Path, version: str) -> str:
    """All for one version; what to say of it, or nothing, if it is not here."""
    here = places(version)
    for place in here:
        run(*place.enter, place.python, "-m", "venv", "--clear", str(place.folder))
    if not here:
        return ""
    wheel = make_wheel(sdist, here[0])
    for place in here:
        try_out(wheel, place)
    return f"{wheel.name} runs on {', '.join(place.name for place in here)}"


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    sdist = make_sdist()
    made = {
        version: make(sdist, version) for version in sys.argv[1:] or matrix.supported_versions()
    }
    for version, wheel in made.items():
        print(f"wheels: {wheel or f'none for {version}: no CPython {version} can be used here'}")
    if not any(made.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
