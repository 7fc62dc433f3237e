"""core_tests.py: compiles and runs the C programs in tests/core, one printed line for each.

A program includes the parts of csrc that it tests and is compiled without Python, twice: plain,
and with AddressSanitizer and UndefinedBehaviorSanitizer. Exit code 0 passes, 77 skips, and any
other, or no end within a minute, fails. Assertions are on in both.

    python tools/core_tests.py [--machine NAME] [--output FOLDER] [PART-OF-A-NAME…]

All programs, or those whose names contain a part. CC names another compiler than cc; that of musl
has no sanitizers. For another machine than this one the programs are compiled with Debian's cross
compiler and run under user-mode emulation, without sanitizers. They are left in build/core, or in
the folder that is named.

Also compiles each C file of the core alone, because a part that needs its neighbours to have been
included before it cannot be read alone either.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
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
    "x86_64": "csrc/core/switch/x86_64_sysv.S",
    "aarch64": "csrc/core/switch/aarch64_aapcs.S",
}
LANGUAGE = ["-std=gnu11", "-iquote", str(TOP / "csrc")]  # not -I: <poll.h> is the system's
WARNINGS = ["-Wall", "-Wextra"]
# What a part alone is warned of, because the others are absent: in gcc's words, and in clang's.
ABSENT = re.compile(
    r"used but never defined|'static' but never defined|has internal linkage but is not defined"
    r"|unused function|defined but not used|is not needed and will not be emitted"
    r"|declared in header file should be declared 'static inline'"
)
COMPLAINT = re.compile(r"^.*: (?:fatal )?(?:warning|error): .*$", re.MULTILINE)
VARIANTS = {
    "plain": ["-O2"],
    "sanitized": [
        "-O1",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ],
}


class Target(NamedTuple):
    """The machine that the programs are for."""

    switch: Path  # its assembly
    compiler: list[str]
    runner: list[str]  # what the program is given to; empty: it runs by itself
    variants: tuple[str, ...]
    output: Path


def target_for(machine: str, output: Path) -> Target:
    switch = TOP / SWITCH_FILES[machine]
    if machine == platform.machine():
        compiler = shlex.split(os.environ.get("CC", "cc"))
        variants = ("plain",) if "musl" in compiler[0] else tuple(VARIANTS)
        return Target(switch, compiler, [], variants, output)
    emulator = [f"qemu-{machine}-static", "-L", f"/usr/{machine}-linux-gnu"]
    return Target(switch, [f"{machine}-linux-gnu-gcc"], emulator, ("plain",), output / machine)


class Outcome(NamedTuple):
    verdict: str  # ok, skip, FAIL
    text: str  # what to show: compiler's or program's output


def compile_program(target: Target, source: Path, variant: str) -> tuple[Path, str]:
    """The program, and what the compiler said if there is none."""
    program = target.output / f"{source.stem}-{variant}"
    command = [
        *target.compiler, *LANGUAGE, "-g", *WARNINGS, "-Werror", *VARIANTS[variant],
        str(source), str(target.switch), "-o", str(program), "-pthread", "-ldl",
    ]  # fmt: skip
    program.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return program, done.stdout + done.stderr


def run_program(target: Target, program: Path) -> Outcome:
    variables = os.environ | {"ASAN_OPTIONS": "detect_stack_use_after_return=0"}
    try:
        done = subprocess.run(
            [*target.runner, str(program)],
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


def test(job: tuple[Target, Path, str]) -> bool:
    """Compiles and runs one program; prints its line; says whether it did not fail."""
    target, source, variant = job
    began = time.monotonic()
    program, complaint = compile_program(target, source, variant)
    outcome = run_program(target, program) if program.exists() else Outcome("FAIL", complaint)
    line = f"{outcome.verdict:4} {source.name} {variant} {time.monotonic() - began:.1f} s"
    text = outcome.text.rstrip()
    print(f"{line}\n{text}" if text else line, flush=True)
    return outcome.verdict != "FAIL"


def complaints(compiler: list[str], source: Path) -> str:
    """What the compiler says of a C file alone, except that the other files are absent."""
    command = [*compiler, *LANGUAGE, *WARNINGS, "-fsyntax-only", str(source)]
    variables = os.environ | {"LC_ALL": "C"}  # ABSENT knows its plain words
    said = subprocess.run(command, cwd=TOP, env=variables, capture_output=True, check=False).stderr
    found = COMPLAINT.findall(said.decode(errors="replace"))
    return "\n".join(line for line in found if not ABSENT.search(line))


def compile_alone(target: Target) -> bool:
    """Compiles each C file of the core with nothing before it."""
    sources = sorted((TOP / "csrc" / "core").rglob("*.c"))
    for source in sources:
        complaint = complaints(target.compiler, source)
        if complaint:
            print(f"FAIL {source.name} compiled alone\n{complaint}")
            return False
    print(f"ok   {len(sources)} files of the core, each compiled alone")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile and run the C programs in tests/core.")
    parser.add_argument("--machine", default=platform.machine())
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("parts", nargs="*", metavar="PART-OF-A-NAME", default=[""])
    options = parser.parse_args()
    if options.machine not in SWITCH_FILES:
        sys.exit(f"there is no stack switch for {options.machine}; see csrc/core/switch")
    target = target_for(options.machine, options.output.resolve())
    sources = [
        path
        for path in sorted((TOP / "tests" / "core").glob("test_*.c"))
        if any(part in path.name for part in options.parts)
    ]
    if not sources:
        sys.exit("tests/core has no test_*.c of that name")
    if not compile_alone(target):
        sys.exit(1)
    target.output.mkdir(parents=True, exist_ok=True)
    jobs = [(target, source, variant) for source in sources for variant in target.variants]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(test, jobs))
    print(f"core: {sum(passed)} of {len(passed)} passed")
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
