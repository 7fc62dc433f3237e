"""What becomes of gevent's tests with the real gevent here: those that pass are what counts.

The idea: each module is run once with the real one, a test that fails once more by itself, and the
outcomes are kept in a file of the build folder for the next time, because neither gevent nor the
interpreter changes. Threads: any; of one interpreter one process at a time.
"""

import json
import threading
from typing import Any, NamedTuple

from tests.gevent_suite import module, place
from tests.stdlib.check_stdlib import run_through

_KEPT = place.FOLDER / "control.json"
_lock = threading.Lock()


class Control(NamedTuple):
    """What one module did."""

    passed: frozenset[str]  # tests; the module itself, where it is a program without tests
    code: int | None
    seconds: float


def of(name: str) -> Control:
    """What the real gevent does, from before or by running it now."""
    if name not in _read():
        _keep(name, _run(name))
    found = _read()[name]
    passed = frozenset(test for test, outcome in found["outcomes"].items() if outcome == "ok")
    return Control(passed, found["code"], found["seconds"])


def _run(name: str) -> dict[str, Any]:
    run = run_through(lambda seen: module.run(name, ignored=seen, is_control=True))
    outcomes = dict(run.outcomes)
    failed = [test for test, outcome in outcomes.items() if outcome in ("fail", "error")]
    if failed and set(outcomes) != {name}:
        again = module.run(name, matched=failed, is_control=True)
        outcomes.update((test, again.outcomes.get(test, "error")) for test in failed)
    return {"outcomes": outcomes, "code": run.code, "seconds": run.seconds}


def _keep(name: str, found: dict[str, Any]) -> None:
    with _lock:
        modules = {**_read(), name: found}
        fresh = _KEPT.with_suffix(".fresh")
        fresh.write_text(json.dumps(modules, indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(_KEPT)


def _read() -> dict[str, Any]:
    text = _KEPT.read_text(encoding="utf-8") if _KEPT.exists() else "{}"
    return dict(json.loads(text))
