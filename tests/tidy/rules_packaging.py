"""rules_packaging.py: what must be written in several places, and be the same in each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.tree import Breach, Tree

SUPPORTED = "src/fibril/_supported.py"
ENDS = re.compile(r"^_OLDEST, _NEWEST = \(3, (\d+)\), \(3, (\d+)\)$", re.MULTILINE)
MACHINES = re.compile(r"^_MACHINES = \((.*)\)$", re.MULTILINE)
STATES = "csrc/python/interpreter/state.h"
RANGE = r"(CPython 3\.\d+ to 3\.\d+)"
# Who else names what is supported: the file, what a name looks like there, and which it must name.
NAMED = (
    ("pyproject.toml", r'"Programming Language :: Python :: 3\.(\d+)"', "minor versions"),
    (STATES, r'/state_3_(\d+)\.h"', "minor versions"),
    (STATES, RANGE, "range"),
    ("src/fibril/_core.pyi", r'"3\.(\d+)"', "minor versions"),
    ("README.md", RANGE, "range"),
    ("CONTRIBUTING.md", RANGE, "range"),
    ("meson.build", r"'linux (\w+)'", "machines"),
)


@rule(f"Name what {SUPPORTED} names: the build and the import ask that.")
def supported_is_named_differently(tree: Tree) -> Iterator[Breach]:
    known = supported(tree)
    for path, pattern, kind in NAMED:
        text = tree.texts.get(path, "")
        places = {match[1]: match.start() for match in re.finditer(pattern, text)}
        if set(places) != set(known[kind]):
            odd = min((at for name, at in places.items() if name not in known[kind]), default=0)
            what = f"its {kind}: {', '.join(places) or 'none'}; not {', '.join(known[kind])}"
            yield Breach(path, text.count("\n", 0, odd) + 1, what)


def supported(tree: Tree) -> dict[str, list[str]]:
    """What fibril supports, in the words of each kind."""
    [(oldest, newest)] = ENDS.findall(tree.texts[SUPPORTED])
    [machines] = MACHINES.findall(tree.texts[SUPPORTED])
    return {
        "minor versions": [str(minor) for minor in range(int(oldest), int(newest) + 1)],
        "range": [f"CPython 3.{oldest} to 3.{newest}"],
        "machines": re.findall(r'"(\w+)"', machines),
    }
