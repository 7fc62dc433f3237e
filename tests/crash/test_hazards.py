"""What the kernel and the loader are told of stacks, and signal handlers that run on them."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fibril import _core
from tests.conftest import Interpreter

SWITCH = Path(__file__).parents[2] / "csrc" / "core" / "switch" / "x86_64_sysv.S"

# ---- signals ----


def test_a_handler_that_switches_nests_in_the_fiber_it_interrupted(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import signal, fibril
        main = fibril.getcurrent()
        def handler(*_):
            seen.append(("handler", fibril.getcurrent() is fiber, main.switch("from the handler")))
        def work():
            signal.raise_signal(signal.SIGUSR1)
            return seen
        seen = []
        signal.signal(signal.SIGUSR1, handler)
        fiber = fibril.Fiber(work)
        print(fiber.switch())
        print(fiber.switch("back"))
    """)
    assert out == "from the handler\n[('handler', True, 'back')]\n"


def test_a_handler_on_an_alternate_stack_leaves_the_fiber_alone(interpreter: Interpreter) -> None:
    """faulthandler's own handler of SIGUSR1 runs there, in the middle of a fiber."""
    done = interpreter.run("""
        import faulthandler, signal, fibril
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1)
        def work(number):
            kept = [number] * 100
            fibril.sleep(0)
            signal.raise_signal(signal.SIGUSR1)
            fibril.sleep(0)
            return sum(kept)
        print(sum(task.get() for task in [fibril.spawn(work, n) for n in range(20)]))
    """)
    assert (done.status, done.out) == (0, "19000\n")
    assert done.err.count("line 7 in work") == 20


# ---- the kernel ----


def test_stacks_are_mapped_without_swap_space_and_huge_pages(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        here = []
        def work():
            maps = open("/proc/self/smaps").read()
            here.append(maps)
            fibril.getcurrent().parent.switch()
        fiber = fibril.Fiber(work)
        fiber.switch()
        print(here[0])
        fiber.switch()
    """)
    flags = re.findall(r"^VmFlags: (.*)$", out, re.MULTILINE)
    ours = [words.split() for words in flags if {"nr", "nh"} <= set(words.split())]
    assert ours, flags
    assert all({"rd", "wr", "mr", "mw", "me"} <= set(words) for words in ours)
    assert not any({"ex", "gd", "lo", "sh"} & set(words) for words in ours)


# ---- the loader ----


needs_readelf = pytest.mark.skipif(
    shutil.which("readelf") is None, reason="there is no readelf (binutils)"
)


def readelf(option: str, path: Path) -> str:
    command = ["readelf", "--wide", option, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@needs_readelf
def test_the_extension_asks_for_no_executable_stack_and_no_shadow_stack() -> None:
    extension = Path(_core.__file__)
    stack = re.search(r"GNU_STACK.*", readelf("--segments", extension))
    assert stack is not None
    assert "E" not in stack[0].split()[6:-1]
    assert "SHSTK" not in readelf("--notes", extension)
    assert "TEXTREL" not in readelf("--dynamic", extension)


@needs_readelf
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the marks are x86's")
def test_the_switch_takes_the_mark_of_shadow_stacks_from_what_it_is_linked_into(
    tmp_path: Path,
) -> None:
    """A library has a mark if all of its parts do. Compilers put both marks by default on some
    distributions; a switched stack would then be a fault on the first return."""
    source, library = tmp_path / "part.c", tmp_path / "part.so"
    source.write_text(
        "#pragma GCC visibility push(hidden)\n"  # what else of fibril the assembly names
        "int fbl_guest_personality(void) { return 1; }\n"
        "int fbl_entry_pass(void) { return 0; }\nvoid *fbl_entry_originals[256];\n",
        encoding="utf-8",
    )
    command = ["cc", "-shared", "-nostartfiles", "-fPIC", "-fcf-protection=full", str(source)]
    subprocess.run([*command, "-o", str(library)], check=True)
    assert re.search(r"x86 feature: IBT, SHSTK\b", readelf("--notes", library))
    subprocess.run([*command, str(SWITCH), "-o", str(library)], check=True)
    assert re.search(r"x86 feature: IBT\b(?!, SHSTK)", readelf("--notes", library))
