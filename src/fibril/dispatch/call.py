"""One call that is made in a native thread, and whom it tells.

The idea: a call is a job for workers, and knows whom to tell: the one task that waits for it, or
an AsyncResult. Who waits for a call may be killed: then it is taken out of the line, or, if it
runs, it is dropped, and an error that nobody will see is reported.

Do not add: ways to stop a call that runs. A native thread cannot be interrupted.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fibril import _core
from fibril.errors import FiberError
from fibril.event import AsyncResult

if TYPE_CHECKING:
    from fibril.dispatch.threads import ThreadPool

__all__ = ["Call", "SpawnedCall", "WaitedCall"]


class Call:
    """A job: one function to call in a native thread, in a copy of the caller's context.

    Switches: never. Threads: any.
    """

    __slots__ = ("_args", "_context", "_fn", "_kwargs", "_pool")

    def __init__(
        self, pool: ThreadPool, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
    ) -> None:
        self._pool = pool
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._context = contextvars.copy_context()

    def __call__(self) -> None:
        """In a native thread: make the call, tell what has become of it."""
        try:
            self._run()
        finally:
            # In this order: when join() returns, the call's place is free and nothing of it kept.
            self.let_go()
            self._pool._forget(self)

    def _run(self) -> None:
        try:
            value = self._make()
        except BaseException as error:
            self.fail(error)
        else:
            self.succeed(value)

    def _make(self) -> Any:
        """Make the call, traced and profiled as `threading` says for new threads."""
        trace, profile = threading.gettrace(), threading.getprofile()
        if trace is None and profile is None:
            return self._context.run(self._fn, *self._args, **self._kwargs)
        try:
            sys.setprofile(profile)
            sys.settrace(trace)
            return self._context.run(self._fn, *self._args, **self._kwargs)
        finally:
            sys.settrace(None)  # the thread goes on, with calls of others
            sys.setprofile(None)

    def let_go(self) -> None:
        """Keep nothing of what the call was made of."""
        self._fn = self._args = self._kwargs = self._context = None  # type: ignore[assignment]

    def succeed(self, value: Any) -> None:
        """In a native thread: the call has returned."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """In a native thread: the call has raised."""
        raise NotImplementedError

    def cancel(self, error: BaseException) -> None:
        """The call was taken out of the line, and not by who waits for it."""
        self.fail(error)
        self.let_go()


class WaitedCall(Call):
    """A call that one fiber waits for.

    Switches: if it must wait. Threads: any.
    """

    __slots__ = ("_dropped_by", "_errors", "_settled", "_value")

    def __init__(
        self, pool: ThreadPool, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
    ) -> None:
        super().__init__(pool, fn, args, kwargs)
        self._settled = _core.Event()
        self._errors: list[tuple[Any, BaseException]] = []  # who takes it out raises or reports it
        self._value: Any = None
        self._dropped_by: Any = None  # the hub of who waited, and does not any more

    def wait(self) -> Any:
        """What the call returns; raises what it raises."""
        hub = _core.get_hub()
        hub.expect(1)
        try:
            self._settled.wait()
        except BaseException:
            self._drop(hub)
            raise
        finally:
            hub.expect(-1)
        if self._errors:
            raise self._errors.pop()[1]
        return self._value

    def wait_to_the_end(self) -> Any:
        """The same; but a call that has begun is waited for, whatever is thrown at the fiber. That
        it meets at its next wait."""
        hub = _core.get_hub()
        put_off: list[BaseException] = []
        hub.expect(1)
        try:
            while not self._settled.is_set():
                self._wait_on(put_off)
        finally:
            hub.expect(-1)
        for thrown in put_off:
            _core.throw_later(_core.getcurrent(), thrown)
        if self._errors:
            raise self._errors.pop()[1]
        return self._value

    def _wait_on(self, put_off: list[BaseException]) -> None:
        try:
            self._settled.wait()
        except BaseException as error:
            if self._pool._withdraw(self):
                self.let_go()
                raise
            put_off.append(error)

    # Who waits may leave just when the native thread tells. Each says its own first and then looks
    # at the other's: the first "dropped" and then "settled?", the second "settled" and then
    # "dropped?". So at least one of them discards; where both do, the list gives the error to one.

    def _drop(self, hub: Any) -> None:
        if self._pool._withdraw(self):
            self.let_go()
            return
        self._dropped_by = hub
        if self._settled.is_set():
            self._discard()

    def succeed(self, value: Any) -> None:
        """In a native thread: the call has returned."""
        self._value = value
        self._settle()

    def fail(self, error: BaseException) -> None:
        """In a native thread: the call has raised."""
        self._errors.append((self._fn, error))
        self._settle()

    def _settle(self) -> None:
        self._settled.set()
        if self._dropped_by is not None:
            self._discard()

    def _discard(self) -> None:
        self._value = None
        try:
            fn, error = self._errors.pop()
        except IndexError:
            return  # there is none, or the other one has it
        _report(self._dropped_by, fn, error)


class SpawnedCall(Call):
    """A call whose result anybody may wait for, and perhaps nobody does: errors are reported.

    Switches: never. Threads: any.
    """

    __slots__ = ("_hub", "_result", "_room")

    def __init__(
        self, pool: ThreadPool, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
    ) -> None:
        super().__init__(pool, fn, args, kwargs)
        self._hub: Any = _core.get_hub() if pool.hub is None else pool.hub
        self._result: Any = None
        self._room = pool._room  # whose place it has: a forked child's pool has another

    def begin(self) -> AsyncResult:
        """The result to wait for."""
        self._result = result = AsyncResult()
        return result

    def succeed(self, value: Any) -> None:
        """In a native thread: the call has returned."""
        self._result.set(value)

    def fail(self, error: BaseException) -> None:
        """In a native thread: the call has raised."""
        # In this order: the hub prints it before those of its fibers go on who wait for the result.
        _report(self._hub, self._fn, error)
        self._result.set_exception(error)

    def cancel(self, error: BaseException) -> None:
        """It was taken out of the line: who waits is told."""
        self._result.set_exception(error)
        self.let_go()

    def let_go(self) -> None:
        """Keep nothing of what the call was made of, and give its place back."""
        self._result = None  # its exception has our frame, which has us: no cycle
        super().let_go()
        self._room.give_back()


def _report(hub: Any, fn: Any, error: BaseException) -> None:
    """An exception that nobody is sure to see: the hub prints it, in its own thread."""
    details = (fn, type(error), error, error.__traceback__)
    try:
        hub.call_soon_threadsafe(hub.handle_error, *details)
    except FiberError:  # the thread of that hub has ended
        hub.print_exception(*details)
