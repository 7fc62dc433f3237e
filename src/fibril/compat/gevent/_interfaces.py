"""gevent._interfaces, served by fibril: programs have them as annotations. No zope.interface."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

__all__ = ["ICallback", "ILoop", "IWatcher"]


@runtime_checkable
class ICallback(Protocol):
    """What loop.run_callback() returns."""

    @property
    def pending(self) -> bool: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class IWatcher(Protocol):
    """What the loop's factories make."""

    def start(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class ILoop(Protocol):
    """hub.loop, or what stands for it."""

    def run_callback(self, func: Callable[..., Any], *args: Any) -> ICallback: ...

    def run_callback_threadsafe(self, func: Callable[..., Any], *args: Any) -> ICallback: ...

    def io(
        self, fd: int, events: int, ref: bool = True, priority: int | None = None
    ) -> IWatcher: ...

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None
    ) -> IWatcher: ...

    def async_(self, ref: bool = True, priority: int | None = None) -> IWatcher: ...
