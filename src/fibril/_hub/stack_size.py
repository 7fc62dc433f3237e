"""How large the stacks of fibers are, for everybody: stack_size(), or FIBRIL_STACK_SIZE; and
on_main_stack(), for calls that must not be on one.

A size is addresses, and memory only where touched, so the usual one is what a native thread gets:
the soft RLIMIT_STACK (8 MiB as a rule, 64 at the most). Code in C is written for that. One fiber's
own size is its attribute stack_size.
"""

import os

from fibril._core import on_main_stack, stack_size

__all__ = ["on_main_stack", "stack_size"]

_UNITS = {"K": 10, "M": 20, "G": 30}


def _size_from_text(text: str) -> int:
    """1048576, 1024K and 1M are the same."""
    number, shift = text.strip(), 0
    if number[-1:].upper() in _UNITS:
        number, shift = number[:-1], _UNITS[number[-1].upper()]
    return int(number) << shift


def _take_from_environment() -> None:
    text = os.environ.get("FIBRIL_STACK_SIZE", "")
    if not text.strip():
        return
    try:
        stack_size(_size_from_text(text))
    except ValueError as error:
        raise ValueError(
            f"cannot take the size of stacks from FIBRIL_STACK_SIZE={text!r}: {error}. "
            "It is a number of bytes, such as 1048576, 1024K or 1M."
        ) from None


_take_from_environment()
