"""input() at a terminal, letting other tasks run while the user types.

The idea: without GNU readline the terminal itself edits the line and gives it whole, so it can be
read as any other: by `sys.stdin.readline()`, which waits in the hub. readline edits in C, in a loop
of its own that keeps the thread; there the original is called.
Do not add: what reads lines in general.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["read_line"]


def read_line(original: Callable[..., str], *prompt: Any) -> str:
    """input(*prompt), whose original is given.

    Switches: if it must wait. Threads: any. Raises EOFError, RuntimeError.
    """
    if "readline" in sys.modules or not _is_at_terminal():
        return original(*prompt)
    text = str(prompt[0]) if prompt else ""
    sys.audit("builtins.input", prompt[0] if prompt else None)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))
    line = sys.stdin.readline()
    if not line:
        raise EOFError("EOF when reading a line")
    line = line.removesuffix("\n")
    sys.audit("builtins.input/result", line)
    return line


def _is_at_terminal() -> bool:
    """Would the original read by the C library?"""
    try:
        numbers = sys.stdin.fileno(), sys.stdout.fileno()
    except Exception:  # as the original: what has no descriptor is no terminal
        return False
    return numbers == (0, 1) and os.isatty(0) and os.isatty(1)
