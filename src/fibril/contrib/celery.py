"""A pool of tasks for Celery's workers.

    CELERY_CUSTOM_WORKER_POOL=fibril.contrib.celery:TaskPool celery -A app worker -P custom -c 500

The idea: Celery imports the pool that `-P custom` names before anything else of the worker's, so
importing this file patches the standard library. Each message is a task. Celery asks in several
places which library of coroutines it runs on, and knows two names; to those that it does not know
it would give its own event loop, which waits in one place for all. So it is told a third, for which
it takes its blocking loop, and for which there is a way to wait for results here.

Threads: Celery's main thread. Do not add: Celery's settings; they are the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fibril import monkey

monkey.patch_all()

import kombu.utils.compat  # noqa: E402
from celery.backends.asynchronous import greenletDrainer, register_drainer  # noqa: E402
from celery.concurrency import base  # noqa: E402

import fibril  # noqa: E402
from fibril.event import Event  # noqa: E402
from fibril.lock import Semaphore  # noqa: E402
from fibril.pool import Group  # noqa: E402

__all__ = ["TaskPool"]

_ENVIRONMENT = "fibril"
_detect = kombu.utils.compat._detect_environment


def _detect_environment() -> str:
    found: str = _detect()
    return _ENVIRONMENT if found == "default" else found


# Both, because it is kept after the first question, and some ask behind its back.
kombu.utils.compat._detect_environment = _detect_environment
kombu.utils.compat._environment = _detect_environment()


@register_drainer(_ENVIRONMENT)
class _Drainer(greenletDrainer):  # type: ignore[misc]
    """Waits for results of other workers, in a task, for whoever wants one."""

    def spawn(self, func: Callable[[], None]) -> fibril.Task:
        task = fibril.spawn(func)
        fibril.sleep(0)
        return task

    def _event(self) -> Event:
        return Event()


class TaskPool(base.BasePool):  # type: ignore[misc]
    """Runs each message of a Celery worker in a task, no more than `-c` at once.

    Hard time limits, revoke(terminate=True), pool_grow, pool_shrink and autoscaling work as with
    Celery's own pools. Who is over its limit is ended where it waits; one that computes, when it
    waits next. Celery makes it, and calls its methods.

    Switches: if it must wait: on_apply for a place, the others for tasks to end.
    Threads: owner.
    """

    signal_safe = False
    is_green = True
    task_join_will_block = False
    body_can_be_buffer = True

    def on_start(self) -> None:
        """Begin without tasks."""
        self._tasks: dict[int, fibril.Task] = {}
        self._group = Group()
        self._free = Semaphore(self.limit)
        self._owed = 0  # places to be taken away as soon as who holds them has ended
        self.spawn_n = fibril.spawn_raw

    def on_stop(self) -> None:
        """Let all tasks end: a warm shutdown."""
        self._group.join()

    def on_terminate(self) -> None:
        """End all tasks where they are: a cold one."""
        self._group.kill()

    def on_apply(
        self, target: Callable[..., Any], args: Any = (), kwargs: Any = None, **options: Any
    ) -> fibril.Task:
        """Run target(*args, **kwargs) in a task; the options are Celery's."""
        self._free.acquire()
        try:
            task = fibril.Task(self._run, (target, args, kwargs), options)
            self._tasks[id(task)] = task
            task.rawlink(self._leave)
            self._group.start(task)
        except BaseException:
            self._free.release()
            raise
        return task

    def _run(self, call: tuple[Any, ...], options: dict[str, Any]) -> None:
        number = id(fibril.getcurrent())  # what Celery takes for a process's
        apply_target = options.get("apply_target", base.apply_target)
        callbacks = options.get("callback"), options.get("accept_callback")
        late = fibril.Timeout(options.get("timeout"))
        try:
            with late:
                apply_target(
                    *call,
                    *callbacks,
                    number,
                    getpid=lambda: number,
                    propagate=(fibril.Timeout, fibril.GreenletExit),
                )
        except fibril.Timeout as raised:
            if raised is not late:
                raise
            options["timeout_callback"](False, late.seconds)

    def _leave(self, task: fibril.Task) -> None:
        self._tasks.pop(id(task), None)
        self._give_place()

    def _give_place(self) -> None:
        if self._owed:
            self._owed -= 1
        else:
            self._free.release()

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """End the task that Celery knows by that number."""
        if pid in self._tasks:
            self._tasks[pid].kill()

    def grow(self, n: int = 1) -> None:
        """Let n more run at once."""
        self.limit += n
        for _ in range(n):
            self._give_place()

    def shrink(self, n: int = 1) -> None:
        """Let n fewer run at once, as soon as so many have ended."""
        for _ in range(min(n, self.limit)):
            self.limit -= 1
            if not self._free.acquire(blocking=False):
                self._owed += 1

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        return {**info, "max-concurrency": self.limit, "free-threads": self._free.counter}
