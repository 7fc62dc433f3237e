"""gevent's own tests on fibril's `gevent`: what passes with the real one passes, or is listed.

    python -m tests.gevent_suite.check_gevent [PART] [test__NAME…]    PART: 2/5 is one of five parts

Each module runs in a process of its own, as a program that has `import gevent`; nothing of gevent's
is there but the tests. What counts is what passes with the real gevent on this machine (control.py)
and is not in known.toml. What fails among the others is tried again by itself, and told if it
passes there, because many of these tests count hundredths of seconds. Who hangs or crashes is never
excused so. A listed test that passes is an error, so that the list stays true.

JOBS=3 runs three modules side by side; 2 is usual.
"""

import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tests.gevent_suite import control, module, place
from tests.gevent_suite.control import Control
from tests.stdlib import lists
from tests.stdlib.check_stdlib import (
    HANGS_S,
    MAY_PASS,
    asked_for,
    check_all,
    excerpt,
    failed,
    run_through,
)
from tests.stdlib.lists import Known
from tests.stdlib.one_file import Run

USUAL_S = 2  # for a module whose time is not told


def known(version: str = place.RELEASE) -> list[Known]:
    """What cannot pass; a name may stand for several: `test__x.Class.*`."""
    text = (place.HERE / "known.toml").read_text(encoding="utf-8")
    return lists.entries(tomllib.loads(text)["known"], version)


def seconds() -> dict[str, int]:
    """All modules, with about how long each takes."""
    text = (place.HERE / "modules.toml").read_text(encoding="utf-8")
    told = tomllib.loads(text)["seconds"]
    return {name: told.get(name, USUAL_S) for name in place.modules()}


def errors(run: Run, wanted: Control, listed: list[Known], name: str) -> dict[str, str]:
    """What is wrong, by test: what should pass and does not, or passes and is listed."""
    found: dict[str, str] = {}
    bad = {test for test in wanted.passed if run.outcomes.get(test) != "ok"}
    expected = {test for entry in listed for test in matches(entry, wanted)}
    for test in sorted(bad - expected):
        found[test] = run.outcomes.get(test, "it was not run")
    lucky = {test for entry in listed if entry.may_pass for test in matches(entry, wanted)}
    for test in sorted(expected - bad - lucky):
        found[test] = "ok: take it out of known.toml"
    for entry in listed:
        if not matches(entry, wanted):
            found[entry.test] = "it does not pass with gevent: take it out of known.toml"
    if run.code and wanted.code == 0 and not failed(run):
        found[name] = f"exit code {run.code}, though no test failed"
    return found


def matches(entry: Known, wanted: Control) -> set[str]:
    return {test for test in wanted.passed if fnmatchcase(test, entry.test)}


def judgement(name: str, run: Run, found: dict[str, str]) -> Iterator[str]:
    """What is wrong, or was so only among other tests."""
    doubtful = [test for test in found if run.outcomes.get(test) in MAY_PASS and test != name]
    good = {}
    if doubtful:
        good = module.run(name, matched=doubtful).outcomes
    for test, what in found.items():
        if test in doubtful and good.get(test) == "ok":
            yield f"  {test}: {what} among the others, but not by itself"
            continue
        yield f"! {test}: {what}"
        if run.outcomes.get(test, "ok") != "ok":
            yield excerpt(run.said, test)
    if set(found) - set(run.outcomes) - {name}:
        yield excerpt(run.said, "")  # why some were not run


class Tally:
    """Checks modules, and counts what they did."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()

    def check(self, name: str) -> Iterator[str]:
        """Lines to print; those of errors begin with an exclamation mark."""
        wanted = control.of(name)
        listed = [entry for entry in known() if entry.file == name]
        hang = [entry.test for entry in listed if entry.hangs]
        run = run_through(lambda seen: module.run(name, ignored=[*hang, *seen]))
        alone = [module.run(name, matched=[test], silence_s=HANGS_S) for test in hang]
        for one in alone:
            run.outcomes.update(one.outcomes)
        passed = sum(run.outcomes.get(test) == "ok" for test in wanted.passed)
        self.count(wanted, listed, passed)
        of_them = f"; {len(listed)} are listed" if listed else ""
        yield f"{name}: {passed} of {len(wanted.passed)}{of_them} [{run.seconds:.0f} s]"
        yield from judgement(name, run, errors(run, wanted, listed, name))

    def count(self, wanted: Control, listed: list[Known], passed: int) -> None:
        with self.lock:
            self.counts.update(modules=1, wanted=len(wanted.passed), passed=passed)
            for entry in listed:
                self.causes[entry.cause] += len(matches(entry, wanted))

    def report(self) -> str:
        wanted, passed = self.counts["wanted"], self.counts["passed"]
        share = 100 * passed / max(wanted, 1)
        of = f"{passed} of {wanted} tests that pass with gevent, {share:.1f} %"
        lines = [f"gevent-suite on {place.RELEASE}: {self.counts['modules']} modules; {of}"]
        lines += [f"  {count:4} listed: {cause}" for cause, count in self.causes.most_common()]
        rest = wanted - passed - self.causes.total()
        return "\n".join([*lines, f"  {rest:4} not listed"])


def main() -> None:
    place.make()
    tally = Tally()
    is_well = check_all(tally.check, asked_for(seconds()))
    print(tally.report())
    if not is_well:
        sys.exit("gevent-suite: see the lines that begin with an exclamation mark")


if __name__ == "__main__":
    main()
