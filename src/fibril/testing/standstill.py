"""Waiting until everybody else waits."""

from fibril import _core

__all__ = ["wait_all_parked"]


def wait_all_parked(cushion: float = 0.0) -> None:
    """Wait until every other task of this native thread is parked and nothing is due.

    In a simulated world that is before time passes. Who waits for a native thread or for the
    kernel is parked, too. cushion: for so many seconds nothing must have happened, on the hub's
    clock. Several may wait; who wants the smallest cushion is woken first, and that starts the
    others' anew. A task that never parks, as one in a loop of sleep(0), keeps it from returning.

    Switches: always. Threads: any. Raises ValueError if cushion is negative.

    >>> import fibril
    >>> from fibril.queue import Queue
    >>> from fibril.testing import wait_all_parked
    >>> queue = Queue()
    >>> task = fibril.spawn(lambda: print("got", queue.get()))
    >>> wait_all_parked()
    >>> queue.put(1)
    >>> wait_all_parked()
    got 1
    """
    if not cushion >= 0:
        raise ValueError(f"cannot wait for {cushion!r} seconds of quiet: give 0 or more.")
    _core.wait_idle(cushion)
