"""Values that each fiber has for itself: `threading.local`, where a thread is a fiber.

`local` is native (csrc: local_type.c).
"""

from __future__ import annotations

from typing import Any

from fibril import _core
from fibril._core import local

__all__ = ["local"]


def all_local_dicts_for_greenlet(
    greenlet: _core.Fiber,
) -> list[tuple[tuple[type[Any], int], dict[str, Any]]]:
    """What a fiber has in locals: a list of ((type, id) of the local, dict of its values).

    For looking only; gevent's name.

    Switches: never. Threads: any. Raises TypeError for what is no fiber.
    """
    return [((type(each), id(each)), values) for each, values in _core.local_values_of(greenlet)]
