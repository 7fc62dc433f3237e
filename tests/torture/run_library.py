"""Makes a library do in tasks what it does in a native thread. A program, not a test.

    python -m tests.torture.run_library LIBRARY

First 1,000 neighbours park, deep in C (neighbours.py). Then the library is imported, in a task. A
native thread computes all that work.py names; 20 tasks do the same, each beginning elsewhere and
letting the next one run after each computation. At the end the neighbours look at their stacks.

Prints what it begins, so that a crash is named by the last line, and at the end either "all well"
or what differed, with exit status 1.
"""

import faulthandler
import sys
from typing import Any

import fibril
from tests.crash.depth import Depth, deepest, in_thread
from tests.torture.libraries import LIBRARIES
from tests.torture.neighbours import Neighbours
from tests.torture.work import TASKS, Work

NEIGHBOURS = 1000
LIMIT_TASKS = 2  # how deep it goes is asked in as many tasks
CLOSE = 0.05  # to a thread's depth
BASE = 4  # levels: below what is measured, a thread and a task have not the same frames

complaints: list[str] = []


def begin(what: str) -> None:
    print(what, flush=True)


def outcome(compute: Any) -> Any:
    """What it returns, or what it raises."""
    try:
        return compute()
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def all_of(work: Work, name: str) -> tuple[dict[str, Any], dict[str, Depth]]:
    """Every result and every depth, as the one that does it finds them."""
    values, depths = {}, {}
    for item, value in work.values.items():
        begin(f"{name}: {item}")
        values[item] = value.compute()
    for item, limit in work.limits.items():
        begin(f"{name}: {item}, to {limit.high}")
        depths[item] = deepest(limit.attempt, limit.high)
        begin(f"    {' '.join(map(str, depths[item]))}")
    return values, depths


def is_close(depth: Depth, reference: Depth) -> bool:
    far = abs(depth.levels - reference.levels)
    return far <= reference.levels * CLOSE + BASE and depth.refusal == reference.refusal


def compare_values(work: Work, values: dict[str, Any], number: int) -> None:
    for item in work.items_of(number):
        begin(f"task {number}: {item}")
        result = outcome(work.values[item].compute)
        if not work.is_same(result, values[item]):
            complaints.append(
                f"{item} in task {number}: {result!r:.300}, not {values[item]!r:.300}"
            )
        fibril.sleep(0)


def compare_limits(work: Work, depths: dict[str, Depth], number: int) -> None:
    for item, limit in work.limits.items() if number < LIMIT_TASKS else ():
        begin(f"task {number}: {item}, to {limit.high}")
        depth = deepest(limit.attempt, limit.high)
        begin(f"    {' '.join(map(str, depth))}")
        if not is_close(depth, depths[item]):
            complaints.append(f"{item} in task {number}: {depth}, in a thread {depths[item]}")
        fibril.sleep(0)


def compare_all(work: Work, reference: tuple[dict[str, Any], dict[str, Depth]]) -> None:
    def compare(number: int) -> None:
        compare_values(work, reference[0], number)
        compare_limits(work, reference[1], number)

    tasks = [fibril.spawn(compare, number) for number in range(TASKS)]
    fibril.joinall(tasks, raise_error=True)


def main() -> None:
    faulthandler.enable()
    (name,) = sys.argv[1:]
    neighbours = Neighbours(NEIGHBOURS)
    begin("import, in a task")
    work = fibril.spawn(LIBRARIES[name]).get()
    begin("in a native thread:")
    reference = in_thread(all_of, work, name)
    begin("in tasks:")
    compare_all(work, reference)
    complaints.extend(neighbours.complaints())
    print("\n".join(complaints) or "all well")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
