"""Several objects to wait for, as joinall, wait and iwait are given them.

Do not add: what else those take.
"""

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["listed"]

_Item = TypeVar("_Item")


def listed(objects: Iterable[_Item], caller: str) -> list[_Item]:
    """Several objects that can be waited for, as a list.

    Switches: never. Threads: any. Raises TypeError in words for one alone, or for something else.
    """
    try:
        items = list(objects)
    except TypeError:
        raise TypeError(
            f"cannot wait for {objects!r}: {caller} takes several. Give a list: {caller}([task])."
        ) from None
    for item in items:
        if not hasattr(item, "rawlink"):
            raise TypeError(
                f"cannot wait for {item!r}: tasks, events, results and semaphores tell of "
                "themselves, by rawlink(). A function is started first: spawn(fn)."
            )
    return items
