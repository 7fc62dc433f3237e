"""The standard library's `selectors`, waiting so that other tasks run.

The idea: a selector of the standard library is a little bookkeeping around an object that polls, so
giving it fibril's object makes it cooperative and changes nothing else.
"""

import selectors as stdlib
from select import POLLIN, POLLOUT
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import Any

from fibril import native, select

__all__ = [
    "EVENT_READ",
    "EVENT_WRITE",
    "BaseSelector",
    "DefaultSelector",
    "EpollSelector",
    "PollSelector",
    "SelectSelector",
    "SelectorKey",
]


_epoll: Any = select.epoll
_poll: Any = select.poll
_native_poll = type(native.poll())
_stdlib_select = stdlib.EpollSelector.select
_stdlib_poll_select = stdlib.PollSelector.select


class SelectSelector(stdlib.SelectSelector):
    """`selectors.SelectSelector` whose `select` lets other tasks run.

    Switches: if it must wait. Threads: any.
    """

    _select = staticmethod(select.select)


class PollSelector(stdlib.PollSelector):
    """`selectors.PollSelector` whose `select` lets other tasks run.

    Switches: if it must wait. Threads: any.
    """

    _selector_cls = select.poll

    _selector: Any

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """As `selectors.PollSelector.select`; one made before the patch becomes cooperative."""
        if isinstance(self._selector, _native_poll):
            self._selector = poller = _poll()
            for fd, key in self.get_map().items():
                wanted = (key.events & EVENT_READ and POLLIN) | (
                    key.events & EVENT_WRITE and POLLOUT
                )
                poller.register(fd, wanted)
        return _stdlib_poll_select(self, timeout)


class EpollSelector(stdlib.EpollSelector):
    """`selectors.EpollSelector` whose `select` lets other tasks run.

    Switches: if it must wait. Threads: any.
    """

    _selector_cls = select.epoll

    _selector: Any

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """As `selectors.EpollSelector.select`; one made before the patch becomes cooperative."""
        if isinstance(self._selector, native.epoll):
            self._selector = _epoll.around(self._selector)
        return _stdlib_select(self, timeout)


DefaultSelector = EpollSelector
