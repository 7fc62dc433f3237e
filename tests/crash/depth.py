"""How deep something goes before it is refused: by bisection, in a native thread and in a task.

    python -m tests.crash.depth LIMIT KIND…

LIMIT is what sys.setrecursionlimit is told; 0 leaves it alone. Prints the name of each kind before
it is tried, so that one which takes the interpreter down is known; then the depth and the refusal,
in a thread and in a task.
"""

import faulthandler
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

ROUGH = 100  # a depth is known to one part in so many


class Depth(NamedTuple):
    """The deepest that was not refused, and the name of the refusal; none: it never came."""

    levels: int
    refusal: str


def refusal_of(attempt: Callable[[int], object], levels: int) -> str:
    try:
        attempt(levels)
    except Exception as error:
        return type(error).__name__
    return ""


def deepest(attempt: Callable[[int], object], high: int) -> Depth:
    """Twice as deep each time, then by halves."""
    low, levels = 0, min(16, high)
    while not (refusal := refusal_of(attempt, levels)):
        if levels == high:
            return Depth(high, "")
        low, levels = levels, min(2 * levels, high)
    high = levels
    while high - low > max(1, low // ROUGH):
        levels = (low + high) // 2
        if refused := refusal_of(attempt, levels):
            high, refusal = levels, refused
        else:
            low = levels
    return Depth(low, refusal)


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns or raises in a native thread with a stack of the usual size."""
    outcomes: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            outcomes.append((function(*args), None))
        except Exception as error:
            outcomes.append((None, error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    ((returned, error),) = outcomes
    if error is not None:
        raise error
    return returned


def main() -> None:
    import fibril
    from tests.crash.depth_kinds import KINDS

    faulthandler.enable()
    limit, *names = sys.argv[1:]
    if int(limit):
        sys.setrecursionlimit(int(limit))
    for name in names:
        print(name, flush=True)
        kind = KINDS[name]
        print(*in_thread(deepest, kind.attempt, kind.high), flush=True)
        print(*fibril.spawn(deepest, kind.attempt, kind.high).get(), flush=True)


if __name__ == "__main__":
    main()
