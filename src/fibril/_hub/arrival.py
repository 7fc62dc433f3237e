"""A call that a tracer written in C is shown when a fiber comes back: csrc has trace.c.

Switches: never. Threads: owner.
Do not add: lines to the function. Each would be an event.
"""

from fibril import _core

__all__ = ["came_back"]


def came_back() -> None:
    """Nothing: its call and its return are what counts."""


_core.set_traced_arrival(came_back)
