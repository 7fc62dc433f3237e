"""aarch64.py: builds fibril for aarch64 and runs its tests here, under user-mode emulation.

    python tools/aarch64.py [PYTEST-ARGUMENT…]

First the C programs of tests/core, then an extension, and with it the part of tests/unit that is
about fibers, stacks and the hub. The interpreter is Debian's for arm64, unpacked into a folder of
its own (FIBRIL_ARM64, or /opt/fibril-arm64; 350 MB) and never installed: the emulator is told to
look for libraries there, so nothing on this machine changes and nothing needs a chroot. What is
missing is installed with apt, by root; anybody else is told what to install.

Emulated threads, signals and system calls are the kernel's own; the processor's memory order is
not shown wrong by this. Runs inside the `check` environment of tools/env.py, for its pip.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
ROOT = Path(os.environ.get("FIBRIL_ARM64", "/opt/fibril-arm64"))
OUTPUT = TOP / "build" / "aarch64"
RELEASE, VERSION = "bookworm", "3.11"  # Debian's, and its CPython's
EMULATOR = "qemu-aarch64-static"
COMPILER = "aarch64-linux-gnu-gcc"
PACKAGES = {  # what must be there, and the Debian package that has it
    EMULATOR: "qemu-user-static",
    COMPILER: "gcc-aarch64-linux-gnu",
    "/usr/aarch64-linux-gnu/include/stdio.h": "libc6-dev-arm64-cross",
    "debootstrap": "debootstrap",
    "dpkg-deb": "dpkg",
}
# As in meson.build, which needs an interpreter that runs here to ask about that one's headers.
FLAGS = (
    *("-iquote", "csrc"),
    *("-std=gnu11", "-O2", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"),
    *("-Werror", "-fno-plt", "-fno-semantic-interposition", "-ftls-model=initial-exec"),
    *("-mbranch-protection=standard", "-Wl,-z,noexecstack", "-Wl,-z,relro", "-Wl,-z,now"),
)
# What is machine code or rests on it. The collector's tests take ten minutes emulated.
TESTED = (
    *("fiber", "fiber_state", "task", "task_life", "stack", "queue", "lock", "event", "timeout"),
    *("hub", "local", "socket", "supported"),
)
SLOWDOWN = "10"  # limits of time are that much longer


def run(*command: str, **variables: str) -> None:
    print("$ " + shlex.join(command), flush=True)
    code = subprocess.run(command, cwd=TOP, env=os.environ | variables, check=False).returncode
    if code:
        sys.exit(f"tools/aarch64.py: this failed (exit code {code}): {shlex.join(command)}")


def install_needs() -> None:
    missing = [
        package
        for need, package in PACKAGES.items()
        if not (Path(need).exists() if need.startswith("/") else shutil.which(need))
    ]
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        sys.exit(f"check-aarch64 needs Debian's packages {' '.join(missing)}: apt install them.")
    run("apt-get", "update", "-q")
    run(
        *("apt-get", "install", "-y", "-q", "--no-install-recommends"),
        *missing,
        DEBIAN_FRONTEND="noninteractive",
    )


def mirror() -> list[str]:
    """Where this machine gets its own packages from; empty: debootstrap knows a place."""
    for name in ("sources.list.d/debian.sources", "sources.list"):
        path = Path("/etc/apt", name)
        found = path.exists() and re.search(
            r"^(?:URIs:|deb) +(?:\[.*?\] +)?(http\S+)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        if found:
            return [found[1]]
    return []


def make_root() -> None:
    """Debian's arm64 packages, fetched by debootstrap's first stage and unpacked side by side."""
    if (ROOT / "usr").exists():
        return
    if os.geteuid():
        sys.exit(f"check-aarch64 needs root, once, to make {ROOT}; or set FIBRIL_ARM64 to one.")
    new = ROOT.with_name(ROOT.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    run(
        *("debootstrap", "--foreign", "--arch=arm64", "--variant=minbase"),
        f"--include=python{VERSION},libpython{VERSION}-dev",
        *(RELEASE, str(new), *mirror()),
    )
    for package in sorted((new / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(new)], check=True)
        package.unlink()
    new.rename(ROOT)


def build() -> None:
    """The extension beside the Python files, in a folder that PYTHONPATH will name."""
    package = OUTPUT / "lib" / "fibril"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(TOP / "src" / "fibril", package)
    module = package / f"_core.cpython-{VERSION.replace('.', '')}-aarch64-linux-gnu.so"
    run(
        *(COMPILER, *FLAGS, "-isystem", f"{ROOT}/usr/include/python{VERSION}"),
        *("-isystem", f"{ROOT}/usr/include", "csrc/fibril.c"),
        *("csrc/core/switch/aarch64_aapcs.S", "-o", str(module)),
    )


def install_tools() -> None:
    """pytest and what it needs: Python without machine code, so that this machine's pip will do."""
    site = OUTPUT / "site"
    if not (site / "pytest").exists():
        run(
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-qq"),
            *("--target", str(site), "--only-binary=:all:", "--platform=any", "--abi=none"),
            *("--implementation=py", f"--python-version={VERSION}", "pytest", "pytest-timeout"),
        )


def write_interpreter() -> Path:
    """A program that is the emulated interpreter, also for tests that start another one."""
    program = OUTPUT / "python"
    python = f"{ROOT}/usr/bin/python{VERSION}"
    program.write_text(
        f'#!/bin/sh\nexec {EMULATOR} -L "{ROOT}" "{python}" "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    site = OUTPUT / "site" / "sitecustomize.py"
    site.write_text(f"import sys\n\nsys.executable = {str(program)!r}\n", encoding="utf-8")
    return program


def main() -> None:
    install_needs()
    run(sys.executable, "tools/core_tests.py", "--machine", "aarch64")
    make_root()
    build()
    install_tools()
    files = [f"tests/unit/test_{name}.py" for name in TESTED]
    run(
        *(str(write_interpreter()), "-m", "pytest", "-q", "--timeout=600"),
        *(sys.argv[1:] or files),
        PYTHONPATH=f"{OUTPUT / 'lib'}{os.pathsep}{OUTPUT / 'site'}",
        PYTHONDONTWRITEBYTECODE="1",
        FIBRIL_SLOWDOWN=SLOWDOWN,
    )
    print("check-aarch64: all well")


if __name__ == "__main__":
    main()
