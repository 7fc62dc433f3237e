"""eventlet's own tests on fibril's `eventlet`: what passes with the real one passes, or is listed.

    python -m tests.eventlet_suite.check_eventlet [PART] [NAME_test…]    PART: 2/5 is one of five

What counts is what passes with the real eventlet on this machine: that is asked once, and kept
below build/. What fails among the others is tried again by itself, and only told if it passes
there, because many of these tests count hundredths of seconds. Who hangs or crashes is never
excused so, nor listed. A listed test that passes is an error, so that the list stays true.

JOBS=3 runs three files side by side; 2 is usual.
"""

import json
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tests.eventlet_suite import one_file, place
from tests.stdlib import lists
from tests.stdlib.check_stdlib import MAY_PASS, asked_for, check_all, run_through
from tests.stdlib.lists import Known
from tests.stdlib.one_file import Run

KEPT = place.FOLDER / "control.json"
TAIL_LINES = 25
USUAL_S, SLOW_S = 4, {"patcher_test": 40, "greenpool_test": 15, "greenio_test": 12}


def known() -> list[Known]:
    text = Path(__file__).with_name("known.toml").read_text(encoding="utf-8")
    return lists.entries(tomllib.loads(text)["known"], place.RELEASE)


class Controls:
    """What passes with the real eventlet, by file."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: dict[str, list[str]] = {}
        if KEPT.exists():
            self.kept = json.loads(KEPT.read_text(encoding="utf-8"))

    def of(self, file: str) -> set[str]:
        if file not in self.kept:
            passed = self.ask(file)
            with self.lock:
                self.kept[file] = sorted(passed)
                KEPT.write_text(json.dumps(self.kept, indent=1), encoding="utf-8")
        return set(self.kept[file])

    @staticmethod
    def ask(file: str) -> set[str]:
        run = run_through(lambda seen: one_file.run(file, ignored=seen, is_control=True))
        failed = [test for test, outcome in run.outcomes.items() if outcome in MAY_PASS]
        if failed:
            run.outcomes.update(one_file.run(file, failed, is_control=True).outcomes)
        return {test for test, outcome in run.outcomes.items() if outcome == "ok"}


class Tally:
    """Checks files, and counts what they did."""

    def __init__(self) -> None:
        self.controls = Controls()
        self.known = known()
        self.lock = threading.Lock()
        self.wanted_count = self.passed_count = 0
        self.causes: Counter[str] = Counter()

    def check(self, file: str) -> Iterator[str]:
        """Lines to print; those of errors begin with an exclamation mark."""
        wanted = self.controls.of(file)
        run = run_through(lambda seen: one_file.run(file, ignored=seen))
        cause_of = {test: self.cause(test) for test in wanted}
        bad = {test for test in wanted if run.outcomes.get(test) != "ok"}
        doubtful = [t for t in bad if run.outcomes.get(t) in MAY_PASS and not cause_of[t]]
        again = one_file.run(file, doubtful).outcomes if doubtful else {}
        excused = {test for test in doubtful if again.get(test) == "ok"}
        bad -= excused
        self.count(wanted - bad, {test: cause_of[test] or "not listed" for test in bad})
        yield f"{file}: {len(wanted - bad)} of {len(wanted)} [{run.seconds:.0f} s]"
        yield from (f"  {test}: not among the others, but by itself" for test in sorted(excused))
        for test in sorted(wanted):
            outcome = run.outcomes.get(test, "it was not run")
            if test in bad and (not cause_of[test] or outcome in ("hung", "crashed")):
                yield f"! {test}: {outcome}"
                yield from excerpt(run, test)
            elif test not in bad and cause_of[test]:
                yield f"! {test}: ok: take it out of known.toml"

    def cause(self, test: str) -> str:
        """Of a listed test, its kind; "" for another one."""
        found = (entry.cause for entry in self.known if fnmatchcase(test, entry.test))
        return next(found, "")

    def count(self, passed: set[str], causes: dict[str, str]) -> None:
        with self.lock:
            self.wanted_count += len(passed) + len(causes)
            self.passed_count += len(passed)
            self.causes.update(causes.values())

    def report(self) -> str:
        share = 100 * self.passed_count / max(1, self.wanted_count)
        head = (
            f"eventlet-suite on {place.RELEASE}: of {self.wanted_count} tests that pass with "
            f"eventlet {place.EVENTLET} pass {self.passed_count} ({share:.1f} %)"
        )
        return "\n".join([head, *(f"  {n:4} {cause}" for cause, n in self.causes.most_common())])


def excerpt(run: Run, test: str) -> list[str]:
    """What pytest has said of a test, or its last lines."""
    title = f" {'.'.join(test.split('::')[1:])} "
    blocks = [block for block in run.said.split("\n____") if title in block.split("\n")[0]]
    lines = (blocks[0] if blocks else run.said).rstrip().split("\n")
    return [f"    {line}" for line in lines[-TAIL_LINES:]]


def main() -> None:
    place.make()
    tally = Tally()
    is_well = check_all(
        tally.check, asked_for({file: SLOW_S.get(file, USUAL_S) for file in place.files()})
    )
    print(tally.report())
    if not is_well:
        sys.exit("eventlet-suite: see the lines that begin with an exclamation mark")


if __name__ == "__main__":
    main()
