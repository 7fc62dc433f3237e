"""The benchmarks: `python bench/run.py [NAME…] [--quick] [--write]`, what `make bench` calls.

Run with the Python that has fibril installed. Installs the rivals next to it, compiles the C
programs, runs each benchmark (all, or those named), prints a table of each, and leaves JSON in
build/bench/. --quick is a smoke test of a minute with figures that mean little; --write makes
RESULTS.md.

Ends with status 1 if anybody failed, fibril by not being installed among them.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping

import machine
import native
import results
import rivals
import rounds
from contest import Contest
from goals import table_of_goals

NAMES = (
    *("switch", "create", "sleep", "spawn", "queue", "lock", "local", "timeout"),
    *("offload", "disk", "files", "process", "echo", "wires", "accept", "wsgi"),
    *("memory", "crowd", "million", "waiters"),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="fibril's benchmarks, rivals included")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a smoke test, in about a minute")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(unknown)}: choose of {', '.join(NAMES)}")
    if args.quick and args.write:
        parser.error("RESULTS.md needs a full run: leave out --quick")
    return args


def contests() -> dict[str, Contest]:
    return {name: importlib.import_module(f"bench_{name}").CONTEST for name in NAMES}


def absent() -> set[str]:
    """Who cannot take part and must be reported as missing."""
    if rivals.is_fibril_here():
        return set()
    print("error: fibril: not installed (its lines will say so)", file=sys.stderr)
    return {"fibril"}


def run_one(contest: Contest, is_quick: bool, missing: set[str]) -> results.Document:
    load = machine.load()
    turns = rounds.run(contest, is_quick, missing)
    doc = results.document(contest, turns, is_quick, load)
    results.save(doc)
    print(f"\n{results.section(contest, doc)}\n", flush=True)
    return doc


def failures(docs: Mapping[str, results.Document]) -> list[str]:
    """One line per contender and case in which a turn failed."""
    return [
        f"{name}, {case}: {contender}: {errors[-1]}"
        for name, doc in docs.items()
        for case, line_up in doc["cases"].items()
        for contender, turns in line_up.items()
        if (errors := [turn["error"] for turn in turns if "error" in turn])
    ]


def main() -> int:
    args = arguments()
    rivals.install()
    native.build()
    every, missing = contests(), absent()
    if missing and args.write:
        print("error: RESULTS.md cannot be written without fibril", file=sys.stderr)
        return 1
    names = [name for name in NAMES if not args.names or name in args.names]
    docs = {name: run_one(every[name], args.quick, missing) for name in names}
    print(table_of_goals(every, {name: doc["cases"] for name, doc in docs.items()}))
    if args.write:
        results.write(every)
    failed = failures(docs)
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
