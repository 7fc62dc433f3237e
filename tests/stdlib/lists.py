"""What is run and what is left out: files.toml and known.toml, as they are for one version of
CPython, which is written as "3.13.4"."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Known(NamedTuple):
    """A test that is left out, or that some versions leave out."""

    test: str
    reason: str
    versions: tuple[str, ...]  # none: all
    hangs: bool  # it is not run with the others, but by itself, and soon ended
    cause: str = ""  # in a few words; several tests may have the same
    may_pass: bool = False  # it depends on how fast the machine is

    @property
    def file(self) -> str:
        """The file that it is in: that of `setUpClass (test_x.Class)`, too."""
        return self.test.rpartition("(")[2].partition(".")[0]


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def known(version: str) -> list[Known]:
    """Those that fail under the patch."""
    return entries(read("known.toml")["known"], version)


def unsuited(version: str) -> list[Known]:
    """Those that are not run, because they fail on most machines without the patch, and slowly."""
    return entries(read("known.toml")["unsuited"], version)


def entries(tables: Iterable[dict[str, Any]], version: str) -> list[Known]:
    """Each table is of one test, or of several with the same reason."""
    found = [
        Known(
            test,
            entry["reason"],
            tuple(entry.get("versions", ())),
            entry.get("hangs", False),
            entry.get("cause", ""),
            entry.get("may_pass", False),
        )
        for entry in tables
        for test in entry.get("tests") or [entry["test"]]
    ]
    return [entry for entry in found if not entry.versions or is_of(version, entry.versions)]


def is_of(version: str, versions: Iterable[str]) -> bool:
    """Whether 3.13.4, say, is one of those: "3.13" is all of its releases, "3.13.2+" those from
    3.13.2 on."""
    for minimum in (age(each.rstrip("+")) for each in versions):
        if age(version)[:2] == minimum[:2] and age(version) >= minimum:
            return True
    return False


def age(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def files(version: str) -> dict[str, int]:
    """Those that this version has, with their seconds."""
    lists = read("files.toml")
    return {
        name: seconds
        for name, seconds in lists["seconds"].items()
        if age(version) >= age(lists["since"].get(name, "3.0"))
    }


def may_be_missing(name: str, version: str) -> bool:
    return is_of(version, read("files.toml")["missing"].get(name, ()))


def options(name: str) -> list[str]:
    """What CPython's runner is told for that file."""
    more = read("files.toml")["resources"].get(name)
    return ["-u", more] if more else []


def part_of(seconds: dict[str, int], part: str) -> list[str]:
    """`2/5`: that one of five parts which take about as long, numbered from 0; all for nothing."""
    number, _, count = (part or "0/1").partition("/")
    parts: list[list[str]] = [[] for _ in range(int(count))]
    loads = [0] * int(count)
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        lightest = loads.index(min(loads))
        parts[lightest].append(name)
        loads[lightest] += seconds[name] + 1  # a process takes its time, too
    return parts[int(number) % int(count)]
