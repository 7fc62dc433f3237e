"""Whether fibril can run here; importing this where it cannot raises ImportError, and says why.

The engine keeps a share of the interpreter's own state for each fiber, so it must know the inside
of each CPython minor version, and the calling convention of each machine. Elsewhere it would
crash; so it refuses. Imported before the native core, which would fail with less to say.

Whatever builds fibril runs this as a program first, on the interpreter that it builds for: it ends
with that sentence. So no bound above is needed in the metadata, where one does harm: pip would take
an older release that has none. Runs on older Pythons, alone, and imports little.
"""

from __future__ import annotations

import os
import sys

__all__ = ["refusal"]

# What must be written elsewhere too is compared with these: tests/tidy/rules_packaging.py.
_OLDEST, _NEWEST = (3, 11), (3, 15)
_MACHINES = ("x86_64", "aarch64")


def refusal() -> str | None:
    """Say why fibril cannot run here; None if it can.

    Switches: never. Threads: any.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    is_cpython = sys.implementation.name == "cpython"
    here = f"{'CPython' if is_cpython else sys.implementation.name} {version}"
    if not is_cpython or not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        known = "CPython {}.{} to {}.{}".format(*_OLDEST, *_NEWEST)
        is_newer = is_cpython and sys.version_info[:2] > _NEWEST
        remedy = "Use one of those, or a newer fibril." if is_newer else "Use one of those."
        return f"fibril runs on {known}; this is {here}. {remedy}"
    if "t" in getattr(sys, "abiflags", ""):
        return f"fibril needs a Python with the GIL; this {here} has none. Use the ordinary build."
    machines = [os.uname().machine] if hasattr(os, "uname") else []  # Windows does not say
    if sys.platform != "linux" or not set(_MACHINES).issuperset(machines):
        system = " ".join([sys.platform, *machines])
        return f"fibril runs on Linux on x86-64 and aarch64; this is {system}."
    if sys.maxsize < 1 << 32:
        return (
            f"fibril needs 64 bits; this {here} has 32. Use a Python that is built for "
            f"{machines[0]}."
        )
    return None


_why = refusal()
if _why:
    raise SystemExit(_why) if __name__ == "__main__" else ImportError(_why)
