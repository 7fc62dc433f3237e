"""The reference for tasks: one native thread's hub, its clock and its tasks, in plain Python.

The idea: a task is a generator that yields where it parks, so the model has no stacks and no
switches, only the rules: who is made ready is appended, who is first runs next, and the first
reason to go on takes a task out of everything else that it waits for. The primitives are built on
park() (models.py), and the random programs run on both this and fibril (machine.py).

Rules that look arbitrary are the hub's, on purpose: timers are looked at when nobody is ready, or
after BUDGET switches; equal deadlines come in the order in which they were set; callbacks run in a
task of their own.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from fibril import GreenletExit

BUDGET = 64


class Failure(Exception):
    """What goes wrong in a program on purpose."""


class Broken(BaseException):
    """What ends a task of a program, and nobody catches there."""


Body = Generator[None, None, Any]


class Timer:
    """Something that happens at a time, unless it is cancelled before."""

    def __init__(self, at: float, order: int, fire: Callable[[], None]) -> None:
        self.at, self.order, self.fire = at, order, fire


class Waiter:
    """What a task has in the queue of what it waits for."""

    def __init__(self, item: Any = None) -> None:
        self.task: Task | None = None
        self.queue: list[Waiter] | None = None
        self.item = item
        self.is_fired = self.is_closed = self.is_peek = False


class Task:
    """A generator, and what the world knows of it."""

    def __init__(self, world: "World", body: Body | None) -> None:
        self.world, self.body = world, body
        self.is_new = True
        self.is_parked = False
        self.is_ended = False
        self.waiter: Waiter | None = None
        self.timer: Timer | None = None
        self.thrown: list[BaseException] = []
        self.value: Any = None
        self.error: BaseException | None = None
        self.joiners: list[Waiter] = []
        self.links: list[tuple[Callable[[Any], None], str]] = []

    # ---- what others do with it ----

    def start(self) -> None:
        self.world.ready.append(self)

    def start_later(self, seconds: float) -> None:
        self.timer = self.world.start_timer(seconds, self.start)

    def ready(self) -> bool:
        return self.is_ended

    def join(self, timeout: float | None = None) -> Body:
        """Whether it ended before the time was over."""
        if self.is_ended:
            return True
        waiter = Waiter()
        yield from self.world.park(waiter, self.joiners, timeout)
        return waiter.is_fired

    def throw(self, error: BaseException) -> None:
        """Leave it an exception, without waiting for what comes of it."""
        if self.is_ended:
            return
        if self is self.world.current:
            self.thrown.append(error)  # for its next wait
            return
        if self.is_new:
            self.world.forget(self)
            self.world.settle(self, None, error)
            return
        self.world.throw_later(self, error)

    def rawlink(self, callback: Callable[[Any], None]) -> None:
        self.link(callback, "rawlink")

    def link(self, callback: Callable[[Any], None], kind: str = "link") -> None:
        if self.is_ended:
            self.world.tell(self, callback, kind)
        else:
            self.links.append((callback, kind))

    def has_links(self) -> bool:
        return bool(self.links)

    def unlink(self, callback: Callable[[Any], None]) -> None:
        for entry in self.links:
            if entry[0] == callback:
                self.links.remove(entry)
                return


class World:
    """Who runs next, and when."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.ready: deque[Task] = deque()
        self.timers: list[Timer] = []
        self.timer_count = 0
        self.budget = BUDGET
        self.callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.hub = Task(self, self._call_back())
        self.current = Task(self, None)

    # ---- the loop ----

    def run(self, main: Body) -> None:
        """Run a generator as the main task, and the others while it waits, until it has ended."""
        self.current = main_task = Task(self, main)
        while not main_task.is_ended:
            self._resume(self.current)
            if not main_task.is_ended:
                self.current = self._pick()

    def _resume(self, task: Task) -> None:
        assert task.body is not None
        task.is_new = False
        try:
            next(task.body)
        except StopIteration as done:
            self.settle(task, done.value, None)
        except (Broken, GreenletExit) as error:
            self.settle(task, None, error)

    def _pick(self) -> Task:
        while not self.ready or self.budget == 0:
            self._turn()
        self.budget -= 1
        return self.ready.popleft()

    def _turn(self) -> None:
        self.budget = BUDGET
        new_ones = self.timer_count
        while (timer := self._first()) and timer.at <= self.clock and timer.order < new_ones:
            self.timers.remove(timer)
            timer.fire()
        if not self.ready:
            timer = self._first()
            assert timer is not None, "a dead end"
            self.clock = max(self.clock, timer.at)

    def _first(self) -> Timer | None:
        return min(self.timers, key=lambda timer: (timer.at, timer.order), default=None)

    # ---- tasks ----

    def settle(self, task: Task, value: Any, error: BaseException | None) -> None:
        """It has ended: the links are told, and then who joins goes on."""
        if isinstance(error, GreenletExit):
            value, error = error, None
        task.is_ended = True
        task.value, task.error = value, error
        links, task.links = task.links, []
        for callback, kind in links:
            self.tell(task, callback, kind)
        self.fire_all(task.joiners)

    def tell(self, task: Task, callback: Callable[[Any], None], kind: str) -> None:
        if kind == "rawlink":
            self.call_soon(callback, task)
        elif kind != ("link_value" if task.error else "link_exception"):
            Task(self, self._call(callback, task)).start()

    def _call(self, callback: Callable[[Any], None], task: Task) -> Body:
        callback(task)
        return
        yield

    def forget(self, task: Task) -> None:
        """It will not start."""
        if task in self.ready:
            self.ready.remove(task)
        self.cancel_timer(task)

    def cancel_timer(self, task: Task) -> None:
        if task.timer in self.timers:
            self.timers.remove(task.timer)
        task.timer = None

    def throw_later(self, task: Task, error: BaseException) -> None:
        task.thrown.append(error)
        if task.is_parked:
            self.wake(task)

    # ---- waiting ----

    def park(
        self, waiter: Waiter, queue: list[Waiter] | None, timeout: float | None = None
    ) -> Body:
        """Wait until the waiter is fired, or so many seconds are over, or for an exception."""
        task = self.current
        if task.thrown:
            raise task.thrown.pop(0)
        waiter.task, waiter.queue = task, queue
        if queue is not None:
            queue.append(waiter)
        task.waiter, task.is_parked = waiter, True
        if timeout is not None:
            task.timer = self.start_timer(max(timeout, 0), lambda: self.wake(task))
        yield
        if task.thrown:
            raise task.thrown.pop(0)

    def sleep(self, seconds: float) -> Body:
        task = self.current
        if seconds > 0:
            yield from self.park(Waiter(), None, seconds)
            return
        if task.thrown:
            raise task.thrown.pop(0)
        self.ready.append(task)
        yield
        if task.thrown:
            raise task.thrown.pop(0)

    def wake(self, task: Task) -> None:
        if not task.is_parked:
            return
        task.is_parked = False
        waiter, task.waiter = task.waiter, None
        if waiter is not None and waiter.queue is not None:
            waiter.queue.remove(waiter)
        self.cancel_timer(task)
        self.ready.append(task)

    def fire(self, waiter: Waiter) -> None:
        assert waiter.task is not None
        waiter.is_fired = True
        self.wake(waiter.task)

    def fire_all(self, queue: list[Waiter]) -> None:
        while queue:
            self.fire(queue[0])

    # ---- time, and callbacks ----

    def start_timer(self, seconds: float, fire: Callable[[], None]) -> Timer:
        timer = Timer(self.clock + seconds, self.timer_count, fire)
        self.timer_count += 1
        self.timers.append(timer)
        return timer

    def call_soon(self, fn: Callable[..., None], *args: Any) -> None:
        self.callbacks.append((fn, args))
        if self.hub.is_parked:
            self.wake(self.hub)
        elif self.hub is not self.current and self.hub not in self.ready:
            self.ready.append(self.hub)

    def _call_back(self) -> Body:
        while True:
            callbacks, self.callbacks = self.callbacks, []
            for fn, args in callbacks:
                fn(*args)
            if self.callbacks:
                self.ready.append(self.hub)
            else:
                self.hub.is_parked = True
            yield
