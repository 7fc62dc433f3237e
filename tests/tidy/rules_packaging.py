"""rules_packaging.py: what must be written in several places, and be the same in each."""

from __future__ import annotations

import re
import tomllib
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
    (".github/workflows/checks.yml", r'"3\.(\d+)"', "minor versions"),
    ("README.md", RANGE, "range"),
    ("CONTRIBUTING.md", RANGE, "range"),
    ("meson.build", r"'linux (\w+)'", "machines"),
)

# Where a Markdown or HTML link leads; and an address of a repository of our name, with the file.
LINK = re.compile(
    r"""\]\(([^)\s]+)|^\[[^]]+\]:\s*(\S+)|\b(?:src|href)=["']?([^"'\s>]+)""", re.MULTILINE
)
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/([\w-]+)(?:/(?:blob|tree)/main/([\w./-]*\w))?")


@rule("Write the whole address: README is also the package's page, and no file is beside that.")
def link_is_relative(tree: Tree) -> Iterator[Breach]:
    text = tree.texts.get("README.md", "")
    for match in LINK.finditer(text):
        target = match[match.lastindex or 0]
        if not target.startswith(("https://", "#")):
            yield Breach("README.md", line_at(text, match.start()), f"{target} leads nowhere")


@rule("The repository is where [project.urls] says; name a file or folder that it has.")
def address_leads_nowhere(tree: Tree) -> Iterator[Breach]:
    if "pyproject.toml" not in tree.texts:
        return
    project = tomllib.loads(tree.texts["pyproject.toml"])["project"]
    for path in tree.paths("*.md", "*.yml", "*.toml"):
        for match in ADDRESS.finditer(tree.texts[path]):
            is_ours = f"{match[0]}/".startswith(f"{project['urls']['Repository']}/")
            if match[1] == project["name"] and not (is_ours and has(tree, match[2] or "")):
                line = line_at(tree.texts[path], match.start())
                yield Breach(path, line, f"{match[0]} leads nowhere")


def has(tree: Tree, name: str) -> bool:
    """Whether it is a file or a folder of the tree."""
    return not name or any(f"{path}/".startswith(f"{name}/") for path in tree.texts)


def line_at(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


@rule(f"Name what {SUPPORTED} names: the build and the import ask that.")
def supported_is_named_differently(tree: Tree) -> Iterator[Breach]:
    known = supported(tree)
    for path, pattern, kind in NAMED:
        text = tree.texts.get(path, "")
        places = {match[1]: match.start() for match in re.finditer(pattern, text)}
        if set(places) != set(known[kind]):
            odd = min((at for name, at in places.items() if name not in known[kind]), default=0)
            what = f"its {kind}: {', '.join(places) or 'none'}; not {', '.join(known[kind])}"
            yield Breach(path, line_at(text, odd), what)


def supported(tree: Tree) -> dict[str, list[str]]:
    """What fibril supports, in the words of each kind."""
    [(oldest, newest)] = ENDS.findall(tree.texts[SUPPORTED])
    [machines] = MACHINES.findall(tree.texts[SUPPORTED])
    return {
        "minor versions": [str(minor) for minor in range(int(oldest), int(newest) + 1)],
        "range": [f"CPython 3.{oldest} to 3.{newest}"],
        "machines": re.findall(r'"(\w+)"', machines),
    }
