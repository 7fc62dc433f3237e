"""Fibers used as they cannot be: greenlet's error each time, and everything goes on afterwards.

What greenlet says to each misuse is asked of greenlet itself, in
tests/compat/test_greenlet_twin.py; here is what it aborts at, or what only fibril has.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from fibril import Fiber, FiberError, GreenletExit, Task, getcurrent, spawn
from tests.conftest import Growth, Interpreter


class Failure(Exception):
    pass


def leave(*args: Any) -> Any:
    return getcurrent().parent.switch(*args)  # type: ignore[union-attr]


def started(run: Callable[..., Any] = leave) -> Fiber:
    fiber = Fiber(run)
    fiber.switch()
    return fiber


class OtherThread:
    """A native thread with fibers, which lives until it is told to end."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.made: Any = None
        self._is_made, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make,))
        self._thread.start()
        assert self._is_made.wait(10)

    def _run(self, make: Callable[[], Any]) -> None:
        self.main = getcurrent()
        self.made = make()
        self._is_made.set()
        self._may_end.wait(10)

    def __enter__(self) -> "OtherThread":
        return self

    def __exit__(self, *error: object) -> None:
        self._may_end.set()
        self._thread.join(10)


# ---- threads ----


def test_an_unstarted_fiber_starts_on_the_thread_of_its_parent() -> None:
    with OtherThread(lambda: Fiber(threading.get_native_id)) as other:
        other.made.parent = getcurrent()
        assert other.made.switch() == threading.get_native_id()
        assert other.made.dead


def test_an_unstarted_fiber_outlives_its_thread() -> None:
    with OtherThread(lambda: [Fiber(lambda: "ran"), Fiber(lambda: "never")]) as other:
        pass
    fiber = other.made[0]
    assert not fiber.dead
    with pytest.raises(FiberError, match="exited"):
        fiber.switch()
    fiber.parent = getcurrent()
    assert fiber.switch() == "ran"
    other.made = None  # its thread's record is freed with the last fiber


def test_a_chain_of_unstarted_fibers_belongs_to_the_thread_it_leads_to() -> None:
    with OtherThread(lambda: None) as other:
        parent = Fiber(lambda value: value, other.main)
        child = Fiber(lambda: "child", parent)
        with pytest.raises(FiberError, match="different thread"):
            child.switch()
        parent.parent = getcurrent()
        assert child.switch() == "child"


def test_the_end_of_a_fiber_whose_parent_was_given_to_another_thread_is_an_error_in_main() -> None:
    # greenlet aborts the process here.
    main = getcurrent()
    with OtherThread(lambda: None) as other:
        parent = Fiber(lambda value: value)
        child = Fiber(lambda: main.switch("parked"), parent)
        assert child.switch() == "parked"
        parent.parent = other.main
        with pytest.raises(FiberError, match="different thread"):
            child.switch()
        assert child.dead
        assert not parent.dead


def test_refusals_across_threads_leave_nothing_behind(growth: Growth) -> None:
    with OtherThread(lambda: [started(), Fiber(leave)]) as other:
        parked, new = other.made

        def misuse() -> None:
            for fiber in (parked, new, other.main):
                with pytest.raises(FiberError):
                    fiber.switch(object())
                with pytest.raises(FiberError):
                    fiber.throw(Failure(object()))
            with pytest.raises(ValueError, match="different thread"):
                parked.parent = getcurrent()

        growth.refuse(misuse)


# ---- starting ----


class Reentrant(Fiber):
    """Its run attribute starts it, while somebody else is about to."""

    entered = False

    @property
    def run(self) -> Callable[..., Any]:  # type: ignore[override]
        if not self.entered:
            self.entered = True
            self.switch("inner")
        return lambda *args: leave(args)


def test_a_fiber_started_while_it_starts_is_started_once() -> None:
    fiber = Reentrant()
    assert fiber.switch("outer") == "outer"  # it had left, and this was a second switch
    assert fiber.dead


class Refusing(Fiber):
    @property
    def run(self) -> Callable[..., Any]:  # type: ignore[override]
        raise Failure("run")


def test_a_start_that_fails_leaves_the_fiber_as_it_was(growth: Growth) -> None:
    def misuse() -> None:
        fiber = Refusing(print)
        for _ in range(2):
            with pytest.raises(Failure, match="run"):
                fiber.switch(1, two=2)
            with pytest.raises(Failure, match="run"):
                fiber.throw(ValueError)
            assert not fiber.dead
            assert not fiber
        child = Fiber(lambda: 1, fiber)
        with pytest.raises(Failure, match="run"):
            child.switch()
        assert not fiber.dead

    growth.refuse(misuse)


def test_the_former_run_is_dropped_by_the_fiber_that_starts() -> None:
    main = getcurrent()

    class Former:
        def __call__(self) -> None:
            raise AssertionError("it is not what the attribute says")

        def __del__(self) -> None:
            main.switch("from its destructor")

    class Other(Fiber):
        def __getattribute__(self, name: str) -> Any:
            return (lambda: "ran") if name == "run" else super().__getattribute__(name)

    fiber = Other(Former())
    assert fiber.switch() == "from its destructor"
    assert fiber.switch() == "ran"


def test_an_exception_thrown_at_an_unstarted_fiber_is_all_it_ever_sees(growth: Growth) -> None:
    def misuse() -> None:
        fiber = Fiber(lambda: pytest.fail("it ran"))
        with pytest.raises(Failure):
            fiber.throw(Failure)
        assert fiber.dead
        assert isinstance(Fiber(leave).throw(), GreenletExit)
        with pytest.raises(AttributeError, match="run"):
            Fiber().throw(Failure)

    growth.refuse(misuse)


def test_without_memory_for_a_stack_the_start_is_refused(interpreter: Interpreter) -> None:
    text = """
        import resource
        from fibril import Fiber, getcurrent
        leave = lambda: getcurrent().parent.switch("parked")
        fibers = [Fiber(leave, stack_size=16 << 20) for _ in range(9)]
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), limit[1]))
        refused = []
        for fiber in fibers:
            try:
                fiber.switch()
            except MemoryError as error:
                refused.append((fiber, str(error)))
        fiber, text = refused[0]
        print(0 < len(refused) < len(fibers), not fiber.dead, "cannot map a stack" in text)
        resource.setrlimit(resource.RLIMIT_AS, limit)
        print({fiber.switch() for fiber, _ in refused})
        """
    assert interpreter.out(text) == "True True True\n{'parked'}\n"


# ---- the constructor and the attributes ----


def test_a_parent_is_a_fiber_and_no_cycle(growth: Growth) -> None:
    def misuse() -> None:
        first, second = Fiber(leave), started()
        second.parent = first
        with pytest.raises(ValueError, match="cyclic parent chain"):
            first.parent = second
        with pytest.raises(TypeError, match=r"must be a fiber|any type of greenlet"):
            first.parent = 7  # type: ignore[assignment]
        with pytest.raises(TypeError, match=r"must be a fiber|any type of greenlet"):
            Fiber(leave, "parent")  # type: ignore[arg-type]
        with pytest.raises(
            AttributeError, match=r"cannot set the parent of a main (fiber|greenlet)"
        ):
            getcurrent().parent = first
        second.parent = getcurrent()
        second.switch()

    growth.refuse(misuse)


def test_the_context_of_a_fiber_that_runs_elsewhere_is_nobody_elses() -> None:
    with OtherThread(started) as other:
        with pytest.raises(ValueError, match="running in a different thread"):
            other.main.gr_context  # noqa: B018
        with pytest.raises(ValueError, match="running in a different thread"):
            other.main.gr_context = None
        assert other.made.gr_context is None  # parked: anybody may ask
    assert other.made.gr_context is None


# ---- the end of the interpreter ----


def test_getcurrent_is_refused_while_the_interpreter_shuts_down(interpreter: Interpreter) -> None:
    text = """
        import os, threading
        import fibril.monkey
        fibril.monkey.patch_all()
        lock = threading.RLock()
        fibril.spawn(fibril.sleep, 0).join()
        class Late:
            def __del__(self, write=os.write, getcurrent=fibril.getcurrent, lock=lock):
                try:
                    getcurrent()
                except RuntimeError as error:
                    with lock:  # what is patched into the standard library goes on working
                        write(1, str(error).encode())
        late = Late()
        late.cycle = late
        """
    assert interpreter.out(text).startswith("fibril is being finalized")


# ---- tasks are fibers too ----


def test_a_subclass_of_task_entered_with_an_exception_dies_of_it(sim: None) -> None:
    class Sub(Task):
        def run(self) -> Any:
            return super().run()  # type: ignore[misc]

    parent = Sub(lambda: "never")

    def fail() -> None:
        raise Failure("from the child")

    spawn(Fiber(fail, parent).switch)
    parent.join()
    assert isinstance(parent.exception, Failure)


def test_messages_have_greenlets_words_for_programs_that_know_it(
    interpreter: Interpreter,
) -> None:
    program = """
        import fibril
        try:
            fibril.getcurrent().parent = None
        except AttributeError as error:
            print(error)
    """
    assert interpreter.out(program) == "cannot set the parent of a main fiber\n"
    known = program.replace(
        "import fibril", "from fibril import compat; compat.install(); import fibril, greenlet"
    )
    assert interpreter.out(known) == "cannot set the parent of a main greenlet\n"
