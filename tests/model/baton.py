"""The reference for fibers: native threads that pass a baton. Slow, plain, shares nothing.

A Baton has the interface of fibril.Fiber. Each runs on a native thread of its own, and only who
holds its world's baton runs; a World stands for the native thread that the fibers would belong to.
The rules (who gets a value, whose parent is whose, when what is dropped is unwound) are greenlet's.

Who is parked is known to nobody but its references, as a fiber is: a thread keeps the handle only
while it runs. What a parked fiber's call refers to is in `pending`, where the collector sees it.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any

from fibril import FiberError, GreenletExit

NEW, RUNNING, AWAY, DEAD = range(4)
here = threading.local()  # .world: whose threads they are


class World:
    """What a native thread with fibers is: who runs, what travels, what others dropped."""

    def __init__(self, report: Callable[[BaseException], None]) -> None:
        here.world = self
        self.report = report  # told what a fiber raised while it was unwound
        self.cores: list[Core] = []  # in the order they were made
        self.left: Baton | None = None  # who was left; dropped by who arrives
        self.value: Any = None  # what travels
        self.is_raised = False  # it is an exception
        self.is_new = False  # who was entered has not run yet
        self.dropped: list[Baton] = []  # by other threads
        self.main = Baton(None)
        self.current = self.main.core
        self.current.state = RUNNING
        self.current.handle = self.main

    def settle(self) -> None:
        dropped, self.dropped = self.dropped, []
        while dropped:
            self.unwind(dropped.pop(0))

    def unwind(self, handle: "Baton") -> None:
        former = handle.parent
        handle.parent = self.current.handle
        core = self.current
        try:
            self.enter(handle, GreenletExit(), True)
            self.arrive(core)
        except BaseException as error:
            self.report(error)
        handle.parent = former

    def enter(self, handle: "Baton", value: Any, is_raised: bool) -> None:
        """Leave the current one for another. Nobody runs before go(): drop what is held first."""
        core, target = self.current, handle.core
        self.value, self.is_raised = value, is_raised
        if core.state == RUNNING:
            core.state = AWAY
        self.left, core.handle = core.handle, None
        self.current, target.handle = target, handle
        self.is_new = target.state == NEW
        target.state = RUNNING
        if self.is_new and not is_raised:
            target.args = (value,)

    def go(self) -> None:
        target = self.current
        if self.is_new:
            threading.Thread(target=target.live, daemon=True).start()
        else:
            target.baton.release()

    def arrive(self, core: "Core") -> Any:
        """Let the one that was entered run until somebody enters `core`: what he brought along."""
        self.go()
        core.baton.acquire()
        brought, is_raised = [self.value], self.is_raised
        self.value = None
        self.left = None
        if is_raised:
            raise brought.pop().with_traceback(None)
        return brought.pop()

    def arrive_from_call(self, core: "Core") -> Any:
        try:
            return self.arrive(core)
        finally:
            assert core.handle is not None
            core.handle.pending = None

    def end(self) -> None:
        """The native thread ends: what it leaves behind is unwound."""
        handles = [core.weak() for core in self.cores if core.state == AWAY]
        for handle in handles:
            if handle is not None and handle.core.state == AWAY:
                self.unwind(handle)


class Core:
    """What the thread of a Baton knows of it."""

    def __init__(self, handle: "Baton", run: Callable[..., Any] | None) -> None:
        self.world: World = here.world
        self.weak = weakref.ref(handle)
        self.handle: Baton | None = None  # only while it runs
        self.run = run
        self.args: tuple[Any, ...] = ()
        self.state = NEW
        self.baton = threading.Semaphore(0)
        self.world.cores.append(self)

    def live(self) -> None:
        world = here.world = self.world
        value, is_raised = world.value, world.is_raised
        world.left = None
        if not is_raised:
            assert self.run is not None
            try:
                value = self.run(*self.args)
            except BaseException as error:
                value, is_raised = error.with_traceback(None), True
                value.__context__ = None  # its frames lead to this one, and so to itself
        if isinstance(value, GreenletExit):
            is_raised = False
        self.run = None
        assert self.handle is not None
        self.state = DEAD
        world.enter(self.handle.heir(is_raised), value, is_raised)
        world.go()


class Baton:
    """Looks like fibril.Fiber."""

    number: int
    me: "Baton"

    def __init__(self, run: Callable[..., Any] | None) -> None:
        world: World = here.world
        if run is not None:
            world.settle()
        self.core = Core(self, run)
        self.pending: Baton | None = None  # whom it switched to, while it is away
        self.parent: Baton | None = None if run is None else world.current.handle

    def set_parent(self, parent: "Baton") -> None:
        step: Baton | None = parent
        while step is not None:
            if step is self:
                raise ValueError("cyclic parent chain")
            step = step.parent
        self.parent = parent

    @property
    def dead(self) -> bool:
        return self.core.state == DEAD

    def heir(self, is_raised: bool) -> "Baton":
        """The nearest ancestor that can run; who has not begun dies of an exception."""
        heir = self.parent
        while heir is not None:
            if heir.core.state == NEW and is_raised:
                heir.core.state = DEAD
            if heir.core.state != DEAD:
                break
            heir = heir.parent
        assert heir is not None
        return heir

    def switch(self, value: Any) -> Any:
        world = self.core.world
        if world is not here.world:
            raise FiberError("Cannot switch to a different thread")
        world.settle()
        core = world.current
        if (self.heir(False) if self.dead else self).core is core:
            return value
        assert core.handle is not None
        core.handle.pending = self
        world.enter(self.heir(False) if self.dead else self, value, False)
        del self  # from now on it is in `pending` only
        return world.arrive_from_call(core)

    def throw(self, kind: type[BaseException]) -> Any:
        world, error = self.core.world, kind()
        if world is not here.world:
            raise FiberError("Cannot switch to a different thread")
        if self.core.state == NEW:
            self.core.state = DEAD
        is_raised = not (self.dead and isinstance(error, GreenletExit))
        core = world.current
        if (self.heir(is_raised) if self.dead else self).core is core:
            if is_raised:
                del error
                raise kind
            return error
        assert core.handle is not None
        core.handle.pending = self
        world.enter(self.heir(is_raised) if self.dead else self, error, is_raised)
        del self, error
        return world.arrive_from_call(core)

    def __del__(self) -> None:
        world = self.core.world
        if self.core.state != AWAY:
            return
        if world is here.world:
            world.unwind(self)
            return
        world.dropped.append(self)
        self.parent = None


def getcurrent() -> Baton | None:
    here.world.settle()
    return here.world.current.handle
