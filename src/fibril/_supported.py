"""Whether fibril can run here; importing this where it cannot raises ImportError, and says why.

The engine keeps a share of the interpreter's own state for each fiber, so it must know the inside
of each CPython minor version, and the calling convention of each machine. Elsewhere it would
crash; so it refuses. Imported before the native core, which would fail with less to say.
"""

import os
import sys

__all__ = ["refusal"]

_MINORS = {(3, 11), (3, 12), (3, 13), (3, 14), (3, 15)}
_MACHINES = {"x86_64", "aarch64"}


def refusal() -> str | None:
    """Say why fibril cannot run here; None if it can.

    Switches: never. Threads: any.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    is_cpython = sys.implementation.name == "cpython"
    here = f"{'CPython' if is_cpython else sys.implementation.name} {version}"
    if not is_cpython or sys.version_info[:2] not in _MINORS:
        return f"fibril runs on CPython 3.11 to 3.15; this is {here}. Use one of those."
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return (
            f"fibril needs a Python with the GIL; this {here} runs without. Use the ordinary build."
        )
    machine = os.uname().machine if hasattr(os, "uname") else "machine"
    if sys.platform != "linux" or machine not in _MACHINES:
        return f"fibril runs on Linux on x86-64 and aarch64; this is {sys.platform} {machine}."
    return None


if _why := refusal():
    raise ImportError(_why)
