"""What is said of fibers: who waits for what, who has it, and where.

The idea: a parked fiber can be looked at as it is: its frames are there, and the core knows what it
waits for. A report groups fibers that wait for the same kind of thing at the same place, because
of a thousand workers one line is worth reading. Who has what is waited for makes a chain; a chain
that comes back to its beginning is the reason of a dead end, and is told at the end.

Nothing here may wait: it is called from the middle of the hub's work. A `repr` of somebody else's
may fail, or be long, and must not hide the rest.
Do not add: decisions. What is a dead end is for fibril.hub.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

from fibril import _core
from fibril._core import Fiber, Hub, Task, getcurrent

__all__ = [
    "LEADING",
    "Parked",
    "describe",
    "doing",
    "explain",
    "format_stack",
    "innermost_frame",
    "is_main",
    "name",
    "parked_lines",
    "place",
    "short",
    "waiting",
]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Whose lines start no task: those of pools and threads. The line that called them does.
_core.set_files_passed_over(
    (
        _PACKAGE,
        os.path.join(os.path.dirname(os.__file__), "threading.py"),
        os.path.join(os.path.dirname(os.__file__), "concurrent", "futures", ""),
    )
)
_STATES = {"running": "runs", "ready": "is ready to go on", "new": "has not begun"}
_COMMAND = os.path.join(_PACKAGE, "cli", "")
#: Where the files lie whose frames lead into a program that `fibril run` runs.
LEADING = (_PACKAGE, "<frozen runpy>", "<frozen importlib")
_GROUPS_MAX = 50
_FRAMES_MAX = 8
_REPR_MAX = 100


class Parked:  # no NamedTuple: from 3.14 on the first of those in a program imports ast
    """A fiber that is away: what it waits for, and on what."""

    __slots__ = ("fiber", "subject", "verb")

    def __init__(self, fiber: Fiber, verb: str | None, subject: Any) -> None:
        self.fiber = fiber
        self.verb = verb
        self.subject = subject


def describe(context: object) -> str:
    """Say whose an error is: a task with its name and where it was spawned, or its repr.

    Switches: never. Threads: any.
    """
    if not isinstance(context, Task):
        return repr(context)
    place = context.spawned_at
    spawned = "" if place is None else ", spawned at {}:{} in {}".format(*place)
    return (
        f'<{type(context).__name__} "{context.name}" at {id(context):#x}: '
        f"{context._does()}{spawned}>"
    )


def name(fiber: Fiber, hub: Hub | None = None) -> str:
    """What a report calls a fiber.

    Switches: never. Threads: any.
    """
    if is_main(fiber):
        is_here = hub is None or fiber is hub.main
        return "main fiber" if is_here else f"main fiber {id(fiber):#x} of another thread"
    if isinstance(fiber, Hub):
        return "hub"
    if not isinstance(fiber, Task):
        return f"fiber {id(fiber):#x}"
    thread = _thread_of(fiber)
    return f'task "{fiber.name}" ({fiber._does() if thread is None else thread})'


def _thread_of(task: Task) -> str | None:
    """What `threading` calls it, if it is a Thread that runs as a task."""
    threading: Any = sys.modules.get("threading")
    thread: Any = None if threading is None else threading._active.get(id(task))
    is_dummy = thread is None or isinstance(thread, threading._DummyThread)
    return None if is_dummy else f"thread {thread.name!r}"


def is_main(fiber: Fiber) -> bool:
    """Whether it is the fiber that its native thread itself is.

    Switches: never. Threads: any.
    """
    return not isinstance(fiber, Task | Hub) and fiber.parent is None


def place(fiber: Fiber) -> str:
    """Where a fiber is: the line of its innermost frame that is not fibril's own.

    Switches: never. Threads: any.
    """
    if fiber.dead:
        return "its end"
    frames = _frames(fiber)
    return _place(frames[0]) if frames else f"a line of {_function(fiber)}"


def explain(hub: Hub) -> str:
    """Why nothing can happen any more: the text of LoopExit.

    Switches: never. Threads: owner.
    """
    return _explain(
        hub,
        "This operation would block forever: no fiber is ready, and nothing they wait for can\n"
        "happen any more.",
    )


def explain_standstill(hub: Hub, who: str) -> str:
    """The same where `who` can still make something happen.

    Switches: never. Threads: owner.
    """
    return _explain(
        hub,
        f"fibril: for some seconds no fiber has been ready, and only {who} can go on from here\n"
        "(fibril.hub.set_standstill_limit(0), or FIBRIL_STANDSTILL_LIMIT=0, and this is not told).",
    )


def _explain(hub: Hub, first: str) -> str:
    parked = [Parked(*entry) for entry in hub.parked()]
    lines = [f"{first} {len(parked)} fiber(s) are parked:"]
    lines += parked_lines(hub, parked)
    lines += _circle_lines(hub, parked)
    return "\n".join(lines)


def waiting(one: Parked, hub: Hub | None = None) -> str:
    """Say what a parked fiber waits for, and who has it.

    Switches: never. Threads: any.
    """
    if one.verb is None:
        return "was left by a switch by hand"
    on = "" if one.subject is None else f" {short(one.subject)}"
    return f"waits {one.verb}{on}{_held(one, hub)}"


def doing(state: str, one: Parked, hub: Hub | None = None) -> str:
    """Say what a fiber does, by its state (_core.all_fibers()) and by what it waits for.

    Switches: never. Threads: any.
    """
    return _STATES.get(state) or waiting(one, hub)


def parked_lines(hub: Hub, parked: list[Parked]) -> Iterator[str]:
    """Two or more lines for each fiber, or group of fibers that wait alike at the same place.

    Switches: never. Threads: owner.
    """
    groups: dict[object, list[Parked]] = {}
    for one in parked:
        groups.setdefault(_place_key(one), []).append(one)
    for number, group in enumerate(groups.values()):
        if number == _GROUPS_MAX:
            rest = sum(len(group) for group in list(groups.values())[number:])
            yield f"  … and {rest} more"
            return
        yield from _group_lines(hub, group)


def _place_key(one: Parked) -> object:
    spawned = one.fiber.spawned_at if isinstance(one.fiber, Task) else None
    holder = None if isinstance(one.subject, Task) else _core.holder(one.subject)
    place = tuple((frame.f_code, frame.f_lineno) for frame in _frames(one.fiber))
    return (one.verb, type(one.subject), id(holder), spawned, place)


def _group_lines(hub: Hub, group: list[Parked]) -> Iterator[str]:
    one = group[0]
    frames = _frames(one.fiber)
    place = f"at {_place(frames[0])}" if frames else f"in {_function(one.fiber)}"
    yield f"  {name(one.fiber, hub)} {waiting(one, hub)}, parked {place}"
    yield from (f"      called from {_place(frame)}" for frame in frames[1:_FRAMES_MAX])
    if len(frames) > _FRAMES_MAX:
        yield f"      … {len(frames) - _FRAMES_MAX} more calls"
    if isinstance(one.fiber, Task) and one.fiber.spawned_at is not None:
        yield "      spawned at {}:{} in {}".format(*one.fiber.spawned_at)
    if len(group) > 1:
        yield f"      and {len(group) - 1} more in the same place, on objects of the same kind"


def _held(one: Parked, hub: Hub | None) -> str:
    holder = _core.holder(one.subject)
    if holder is None or isinstance(one.subject, Task):
        return ""
    if holder is False:
        return ", held by a fiber that has ended"
    return ", which it acquired itself" if holder is one.fiber else f", held by {name(holder, hub)}"


# ---- circles ----


def _circle_lines(hub: Hub, parked: list[Parked]) -> list[str]:
    """By identity: a user's class of tasks may compare as it likes."""
    waits_for = {id(one.fiber): (one.fiber, _next_of(one)) for one in parked}
    circle = _circle(waits_for)
    if not circle:
        return []
    names = " → ".join(name(fiber, hub) for fiber in [*circle, circle[0]])
    return [f"A circle: {names}. Each waits for what the next one has."]


def _next_of(one: Parked) -> Fiber | None:
    """Who has to go on first. A lock that it acquired itself may be a condition's private one."""
    if isinstance(one.subject, Task):
        return one.subject
    holder = _core.holder(one.subject)
    return None if not holder or holder is one.fiber else holder


def _circle(waits_for: dict[int, tuple[Fiber, Fiber | None]]) -> list[Fiber]:
    looked_at: set[int] = set()
    for start in waits_for:
        path: list[int] = []
        place: int | None = start
        while place in waits_for and place not in looked_at:
            looked_at.add(place)
            path.append(place)
            holder = waits_for[place][1]
            place = None if holder is None else id(holder)
        if place in path:
            return [waits_for[each][0] for each in path[path.index(place) :]]
    return []


# ---- what is shown of one ----


def short(subject: object) -> str:
    """An object's repr, cut where it is long; what it raises is told in its place.

    Switches: never. Threads: any.
    """
    if isinstance(subject, str):  # it says what it is by itself
        return subject
    if isinstance(subject, Task):
        return name(subject)
    try:
        text = repr(subject)
    except Exception as error:  # a user's __repr__ must not hide the report
        text = f"<{type(subject).__name__}, whose repr raises {error!r}>"
    return text if len(text) <= _REPR_MAX else text[: _REPR_MAX - 3] + "..."


def innermost_frame(fiber: Fiber) -> FrameType | None:
    """Return the innermost frame of a fiber that is not fibril's own; None if it has no such.

    Switches: never. Threads: any.
    """
    frame = sys._getframe() if fiber is getcurrent() else fiber.gr_frame
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def format_stack(frame: FrameType | None, limit: int | None = None) -> list[str]:
    """Return what traceback.format_stack() does, from the program's own beginning on.

    Switches: never. Threads: any.
    """
    pairs = ((frame, frame.f_lineno) for frame in _from_program(frame))
    stack = traceback.StackSummary.extract(pairs, limit=limit)
    stack.reverse()
    return stack.format()


def _frames(fiber: Fiber) -> list[FrameType]:
    return _from_program(innermost_frame(fiber))


def _from_program(frame: FrameType | None) -> list[FrameType]:
    """A frame and those that called it, but for what led into the program under `fibril run`."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    names = [frame.f_code.co_filename for frame in frames]
    end = next((i for i, file in enumerate(names) if file.startswith(_COMMAND)), len(frames))
    while end < len(frames) and end > 0 and names[end - 1].startswith(LEADING):
        end -= 1
    return frames[:end] or frames


def _function(fiber: Fiber) -> str:
    """What it runs, where that has no frames: a function written in C."""
    fn = fiber.fn if isinstance(fiber, Task) else None
    return "C code" if fn is None else getattr(fn, "__qualname__", None) or short(fn)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
