"""One of gevent's test modules in a process of its own, with fibril or with the real gevent.

What a process says of its tests is read by one_file.py of tests/stdlib. A module without tests is a
program: it has passed if it ends with 0.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from tests.gevent_suite import place
from tests.stdlib import one_file
from tests.stdlib.one_file import Run

PROGRAM = str(place.HERE / "one_module.py")
SILENCE_S = 90
USUAL = {"GEVENTTEST_USE_RESOURCES": "-network"}  # no test asks the internet


def run(
    name: str,
    matched: Iterable[str] = (),
    ignored: Iterable[str] = (),
    *,
    is_control: bool = False,
    silence_s: float = SILENCE_S,
) -> Run:
    """Run the matched tests of that module, or all but the ignored ones."""
    options = [word for test in matched for word in ("--match", test)]
    options += [word for test in ignored for word in ("--ignore", test)]

    def command(path: Path) -> list[str]:
        return [sys.executable, "-X", "faulthandler", PROGRAM, str(path), name, *options]

    environ = USUAL if is_control else {**USUAL, **place.variables()}
    done = one_file.observe(name, command, environ, silence_s=silence_s)
    if not done.outcomes:
        done = done._replace(outcomes={name: "error" if done.code else "ok"})
    return done
