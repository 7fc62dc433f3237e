"""eventlet.pools, served by fibril: things that are made when needed, lent, and given back."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .queue import LightQueue

__all__ = ["Pool", "Token", "TokenPool"]


class Pool:
    """Things of which there are at most so many; who gets one more waits.

    min_size: how many are made at once. max_size: how many there may be. order_as_stack: lend what
    came back last, and not first. create: makes one; or define create() in a subclass.

    Switches: if it must wait. Threads: owner.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> from eventlet.pools import Pool
    >>> pool = Pool(max_size=1, create=list)
    >>> with pool.item() as thing:
    ...     thing, pool.free()
    ([], 0)
    """

    def __init__(
        self,
        min_size: int = 0,
        max_size: int = 4,
        order_as_stack: bool = False,
        create: Callable[[], Any] | None = None,
    ) -> None:
        self.min_size, self.max_size, self.order_as_stack = min_size, max_size, order_as_stack
        self.current_size = 0  # how many there are, lent or not
        self.channel = LightQueue(0)  # from who gives back to who waits
        self.free_items: collections.deque[Any] = collections.deque()
        if create is not None:
            self.create = create  # type: ignore[method-assign]  # eventlet's way
        for _ in range(min_size):
            self.current_size += 1
            self.free_items.append(self.create())

    def create(self) -> Any:
        """Make one."""
        raise NotImplementedError("cannot make anything: give Pool(create=…), or define create()")

    def get(self) -> Any:
        """Borrow one; wait until there is one."""
        if self.free_items:
            return self.free_items.popleft()
        self.current_size += 1  # first: create() may wait, and others come
        if self.current_size <= self.max_size:
            try:
                return self.create()
            except BaseException:
                self.current_size -= 1
                raise
        self.current_size -= 1
        return self.channel.get()

    @contextmanager
    def item(self) -> Iterator[Any]:
        """Borrow one for a ``with`` block."""
        thing = self.get()
        try:
            yield thing
        finally:
            self.put(thing)

    def put(self, item: Any) -> None:
        """Give one back."""
        if self.current_size > self.max_size:
            self.current_size -= 1  # the pool has shrunk
        elif self.channel.getting():
            self.channel.put_nowait(item)
        elif self.order_as_stack:
            self.free_items.appendleft(item)
        else:
            self.free_items.append(item)

    def resize(self, new_size: int) -> None:
        """At most so many from now on."""
        self.max_size = new_size

    def free(self) -> int:
        """How many can be had without waiting."""
        return len(self.free_items) + self.max_size - self.current_size

    def waiting(self) -> int:
        """How many wait for one."""
        return max(0, self.channel.getting() - self.channel.putting())


class Token:
    """What a TokenPool lends."""


class TokenPool(Pool):
    """A pool of tokens, which mean nothing: to have one is to be allowed to."""

    def create(self) -> Token:
        """Make a token."""
        return Token()
