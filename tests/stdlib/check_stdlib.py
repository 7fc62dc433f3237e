"""CPython's own tests under fibril's patch: nothing fails but what is listed.

    python -m tests.stdlib.check_stdlib [PART] [test_NAME…]      PART: 2/5 is that one of five parts

Each file of files.toml runs in a process of its own. What fails there, and is not in known.toml,
runs again without the patch: what fails then, too, is this machine's fault and only told. So is
what fails among the others and passes by itself: many of these tests count hundredths of seconds,
which a busy machine does not keep. Who hangs or crashes is never excused so. A listed test that
passes, or is not there any more, is an error, so that the list stays true.

JOBS=3 runs three files side by side; 2 is usual.
"""

import importlib.util
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.stdlib import lists, one_file
from tests.stdlib.lists import Known
from tests.stdlib.one_file import FAILED, Run

VERSION = "{}.{}.{}".format(*sys.version_info)
HANGS_S = 15  # a listed test that hangs is given up after that
MAY_PASS = ("fail", "error")  # when tried again; who hangs or crashes once does so at any time
INTERRUPTIONS_MAX = 3  # after so many the rest of a file is not reached
TAIL_LINES = 40


def failed(run: Run) -> list[str]:
    return [test for test, outcome in run.outcomes.items() if outcome in FAILED]


def selecting(tests: Iterable[str], option: str = "--match") -> list[str]:
    """Options by which CPython's runner takes those tests; with --ignore all others."""
    found: list[str] = []
    for test in tests:
        if name := re.search(r"\((.*)\)|^(\S+)$", test):  # setUpClass (test_x.Class): all of it
            pattern = f"test.{name[1]}.*" if name[1] else f"test.{name[2]}"
            found += [option, pattern]
    return found


def run_through(run_without: Callable[[list[str]], Run]) -> Run:
    """The whole file: after one that hung or took the interpreter down, go on with the others, by
    a run without those that have been seen."""
    runs = [run_without([])]
    while is_interrupted(runs[-1]) and len(runs) <= INTERRUPTIONS_MAX:
        runs.append(run_without([test for run in runs for test in run.outcomes]))
    outcomes = {test: run.outcomes[test] for run in reversed(runs) for test in run.outcomes}
    said, seconds = "".join(run.said for run in runs), sum(run.seconds for run in runs)
    return Run(outcomes, runs[-1].code, said, seconds)


def is_interrupted(run: Run) -> bool:
    return run.code is None or run.code < 0


def errors(file: str, run: Run, known: list[Known]) -> dict[str, str]:
    """What is wrong with that run, by test: what failed, what passed and is listed, or is gone."""
    expected = {entry.test for entry in known if not entry.hangs}
    found = {test: run.outcomes[test] for test in failed(run) if test not in expected}
    for test in expected - set(failed(run)):
        if test in run.outcomes:
            found[test] = f"{run.outcomes[test]}: take it out of known.toml"
        elif not is_interrupted(run):
            found[test] = "it is not there: take it out of known.toml, or mend its name"
    if run.code and not failed(run):
        found[file] = f"exit code {run.code}, though no test failed"
    if run.code == 0 and not run.outcomes and "skipped" not in run.said:
        found[file] = "no test ran"
    return found


def hanging(entry: Known) -> dict[str, str]:
    """A listed test that hangs, by itself: what is wrong if it does not."""
    options = [*lists.options(entry.file), *selecting([entry.test])]
    run = one_file.run(entry.file, options, silence_s=HANGS_S)
    if entry.test not in run.outcomes:
        return {entry.test: "it is not there: take it out of known.toml, or mend its name"}
    if entry.test not in failed(run):
        return {entry.test: f"{run.outcomes[entry.test]}: take it out of known.toml"}
    return {}


def again(file: str, tests: list[str], *, is_patched: bool) -> set[str]:
    """Which of them fail by themselves."""
    if not tests:
        return set()
    options = selecting(tests) if all(selecting([test]) for test in tests) else []
    return set(failed(one_file.run(file, [*lists.options(file), *options], is_patched=is_patched)))


def excerpt(said: str, test: str) -> str:
    """What CPython's runner has said of a failed test, or its last lines."""
    name = re.escape(test.partition(" ")[0].rpartition(".")[2])
    block = re.search(
        rf"^={{70}}\n(?:FAIL|ERROR): {name}\b.*?(?=^={{70}}|^-{{70}}\nRan )",
        said,
        re.MULTILINE | re.DOTALL,
    )
    lines = (block[0] if block else said).rstrip().split("\n")
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])


def check(file: str) -> Iterator[str]:
    """Lines to print; those of errors begin with an exclamation mark."""
    if importlib.util.find_spec(f"test.{file}") is None:
        mark = "" if lists.may_be_missing(file, VERSION) else "! "
        yield f"{mark}{file}: this Python does not have it"
        return
    known = [entry for entry in lists.known(VERSION) if entry.file == file]
    hang = [entry for entry in known if entry.hangs]
    left_out = [entry.test for entry in hang + lists.unsuited(VERSION)]

    def run_without(tests: list[str]) -> Run:
        ignored = selecting([*left_out, *tests], "--ignore")
        return one_file.run(file, [*lists.options(file), *ignored])

    run = run_through(run_without)
    yield summary(file, run, len(known))
    yield from judgement(file, run, errors(file, run, known))
    for entry in hang:
        yield from (f"! {test}: {what}" for test, what in hanging(entry).items())


def summary(file: str, run: Run, known_count: int) -> str:
    counts = Counter(run.outcomes.values())
    words = [f"{counts[word]} {word}" for word in ("ok", "skip", *FAILED) if counts[word]]
    listed = f"; {known_count} are listed" if known_count else ""
    return f"{file}: {', '.join(words) or 'nothing'}{listed} [{run.seconds:.0f} s]"


def judgement(file: str, run: Run, found: dict[str, str]) -> Iterator[str]:
    """What is wrong, or would be if it were not so without the patch."""
    bad = [test for test in found if run.outcomes.get(test) in FAILED]
    bad_here = again(file, bad, is_patched=False)
    doubtful = [test for test in bad if test not in bad_here and run.outcomes[test] in MAY_PASS]
    bad_again = again(file, doubtful, is_patched=True)
    for test, what in found.items():
        if test in bad_here:
            yield f"  {test}: {what}, and without the patch, too"
        elif test in doubtful and test not in bad_again:
            yield f"  {test}: {what} among the others, but not by itself"
        else:
            yield f"! {test}: {what}"
            if test in bad or test == file:
                yield excerpt(run.said, test)


def check_all(check: Callable[[str], Iterable[str]], files: list[str]) -> bool:
    """Whether all is well; prints each file's lines as soon as they are there."""
    is_well = True
    with ThreadPoolExecutor(int(os.environ.get("JOBS") or 2)) as pool:
        runs = [pool.submit(lambda file: list(check(file)), file) for file in files]
        for run in as_completed(runs):
            print("\n".join(run.result()), flush=True)
            is_well = is_well and not any(line.startswith("! ") for line in run.result())
    return is_well


def asked_for(seconds: dict[str, int]) -> list[str]:
    """The files that the command line names, or the part of all."""
    part = sys.argv[1] if len(sys.argv) > 1 and "/" in sys.argv[1] else ""
    named = [argument for argument in sys.argv[1:] if "/" not in argument]
    # Where it is ignored, as in what a shell runs in the background, all children would ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return named or lists.part_of(seconds, part)


def main() -> None:
    files = asked_for(lists.files(VERSION))
    if not check_all(check, files):
        sys.exit("check-stdlib: see the lines that begin with an exclamation mark")
    print(f"check-stdlib: all well with {len(files)} files on {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
