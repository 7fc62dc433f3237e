"""core_tests.py: compiles and runs the C programs in tests/core, one printed line for each.

A program includes the parts of csrc that it tests and is compiled without Python, twice: plain,
and with AddressSanitizer and UndefinedBehaviorSanitizer. Exit code 0 passes, 77 skips, and any
other, or no end within a minute, fails. Assertions are on in both.

    python tools/core_tests.py [PART-OF-A-NAME…]     all programs, or those whose name contains it

Also compiles each C file of the core alone, because a part that needs its neighbours to have been
included before it cannot be read alone either.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
OUTPUT = TOP / "build" / "core"
LIMIT_S = 60
SKIPPED = 77
SWITCH_FILES = {  # as in meson.build
    "x86_64": "csrc/switch/x86_64_sysv.S",
    "aarch64": "csrc/switch/aarch64_aapcs.S",
}
COMPILER = shlex.split(os.environ.get("CC", "cc"))
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
VARIANTS = {
    "plain": ["-O2"],
    "sanitized": [
        "-O1",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ],
}


class Outcome(NamedTuple):
    verdict: str  # ok, skip, FAIL
    text: str  # what to show: compiler's or program's output


def compile_program(source: Path, variant: str) -> tuple[Path, str]:
    """The program, and what the compiler said if there is none."""
    program = OUTPUT / f"{source.stem}-{variant}"
    command = [
        *COMPILER, "-std=gnu11", "-g", *WARNINGS, *VARIANTS[variant], f"-I{TOP / 'csrc'}",
        str(source), str(TOP / SWITCH_FILES[platform.machine()]), "-o", str(program), "-pthread",
    ]  # fmt: skip
    program.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return program, done.stdout + done.stderr


def run_program(program: Path) -> Outcome:
    variables = os.environ | {"ASAN_OPTIONS": "detect_stack_use_after_return=0"}
    try:
        done = subprocess.run(
            [str(program)],
            cwd=TOP,
            env=variables,
            timeout=LIMIT_S,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired:
        return Outcome("FAIL", f"still running after {LIMIT_S} s, ended")
    text = done.stdout.decode(errors="replace")
    if done.returncode == SKIPPED:
        return Outcome("skip", text)
    if done.returncode == 0:
        return Outcome("ok", "")
    return Outcome("FAIL", f"{text}exit code {done.returncode}")


def test(job: tuple[Path, str]) -> bool:
    """Compiles and runs one program; prints its line; says whether it did not fail."""
    source, variant = job
    began = time.monotonic()
    program, complaint = compile_program(source, variant)
    outcome = run_program(program) if program.exists() else Outcome("FAIL", complaint)
    line = f"{outcome.verdict:4} {source.name} {variant} {time.monotonic() - began:.1f} s"
    text = outcome.text.rstrip()
    print(f"{line}\n{text}" if text else line, flush=True)
    return outcome.verdict != "FAIL"


def compile_alone() -> bool:
    """Compiles each C file of the core with nothing before it. Warnings are the build's matter."""
    flags = ["-std=gnu11", "-fsyntax-only", "-w", "-Werror=implicit-function-declaration"]
    found = [*(TOP / "csrc").glob("*.c"), *(TOP / "csrc" / "poll").glob("*.c")]
    sources = sorted(path for path in found if path.name != "weft.c")  # it includes the others
    for source in sources:
        command = [*COMPILER, *flags, f"-I{TOP / 'csrc'}", str(source)]
        if subprocess.run(command, cwd=TOP, check=False).returncode:
            print(f"FAIL {source.name} compiled alone")
            return False
    print(f"ok   {len(sources)} files of the core, each compiled alone")
    return True


def main() -> None:
    if platform.machine() not in SWITCH_FILES:
        sys.exit(f"there is no stack switch for {platform.machine()}; see csrc/switch")
    wanted = sys.argv[1:] or [""]
    sources = [
        path
        for path in sorted((TOP / "tests" / "core").glob("test_*.c"))
        if any(part in path.name for part in wanted)
    ]
    if not sources:
        sys.exit("tests/core has no test_*.c of that name")
    if not compile_alone():
        sys.exit(1)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    jobs = [(source, variant) for source in sources for variant in VARIANTS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(test, jobs))
    print(f"core: {sum(passed)} of {len(passed)} passed")
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
