"""Calls on the native thread's own stack: what they see, what they may do, what is refused."""

import contextvars
import ctypes
import gc
import os
import platform
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import Fiber, Task, getcurrent, native, on_main_stack, spawn
from fibril.errors import BlockingSwitchOutError
from fibril.event import Event
from fibril.lock import Semaphore
from fibril.queue import Queue


def stack_bounds() -> tuple[int, int]:
    """Of this native thread, as C libraries ask for them."""
    libc = ctypes.CDLL(None)
    attributes = (ctypes.c_char * 128)()
    low, size = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_void_p
    assert libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), attributes) == 0
    assert libc.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(size)) == 0
    return low.value or 0, (low.value or 0) + size.value


STACK_POINTER = {"x86_64": 160, "aarch64": 432}[platform.machine()]  # its place in a ucontext_t


def is_home() -> bool:
    """Is C code that Python calls here on the native thread's own stack?"""
    context = ctypes.create_string_buffer(8192)
    assert ctypes.CDLL(None).getcontext(context) == 0
    low, high = stack_bounds()
    return low < int.from_bytes(context[STACK_POINTER : STACK_POINTER + 8], sys.byteorder) < high


def in_task(fn: Callable[..., Any], *args: Any) -> Any:
    return spawn(fn, *args).get()


def test_a_call_runs_on_the_threads_own_stack() -> None:
    assert is_home()
    assert in_task(lambda: (is_home(), on_main_stack(is_home), is_home())) == (False, True, False)


def test_so_it_does_in_another_thread_and_from_several_fibers() -> None:
    out: list[Any] = []

    def body() -> None:
        tasks = [spawn(lambda: (on_main_stack(is_home), is_home())) for _ in range(5)]
        out.extend(task.get() for task in tasks)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert out == [(True, False)] * 5


def test_arguments_and_the_result_pass() -> None:
    def call() -> Any:
        return on_main_stack(lambda *args, **kwargs: (args, kwargs), 1, 2, three=3)

    assert call() == in_task(call) == ((1, 2), {"three": 3})


def test_without_a_function_it_says_how_it_is_called() -> None:
    with pytest.raises(TypeError, match="on_main_stack"):
        on_main_stack()  # type: ignore[call-arg]


def test_an_exception_passes_with_the_lines_of_both_sides() -> None:
    def fail() -> None:
        raise KeyError("inside")

    def call() -> None:
        on_main_stack(fail)

    with pytest.raises(KeyError, match="inside") as caught:
        in_task(call)
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["call", "fail"]


def test_frames_locals_and_the_current_fiber_are_the_callers() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    values = fibril.local.local()

    def inner() -> Any:
        assert values.number == variable.get() == 7
        variable.set(8)
        values.number = 8
        caller = sys._getframe().f_back
        assert caller is not None
        return getcurrent(), caller.f_code.co_name

    def outer() -> Any:
        variable.set(7)
        values.number = 7
        fiber, name = on_main_stack(inner)
        return fiber is getcurrent(), name, variable.get(), values.number

    assert in_task(outer) == (True, "outer", 8, 8)


def test_a_handled_exception_stays_the_callers() -> None:
    def outer() -> Any:
        try:
            raise ValueError("handled")
        except ValueError as error:
            return on_main_stack(sys.exception) is error, sys.exception() is error

    assert in_task(outer) == (True, True)


def test_inside_of_such_a_call_it_is_a_plain_call() -> None:
    assert in_task(on_main_stack, on_main_stack, on_main_stack, is_home) is True


def test_the_thread_may_use_it_before_any_fiber() -> None:
    out: list[Any] = []
    thread = threading.Thread(target=lambda: out.append(on_main_stack(is_home)))
    thread.start()
    thread.join()
    assert out == [True]


def read() -> None:
    reader, writer = os.pipe()
    try:
        fibril.socket.wait_read(reader)
    finally:
        os.close(reader)
        os.close(writer)


REFUSED: dict[str, Callable[[], Any]] = {
    "sleep": lambda: fibril.sleep(0),
    "sleep for long": lambda: fibril.sleep(10),
    "wait for an event": lambda: Event().wait(),
    "acquire": lambda: Semaphore(0).acquire(),
    "get": lambda: Queue().get(),
    "get a result": lambda: spawn(len, "").get(),
    "join": lambda: spawn(len, "").join(),
    "switch": lambda: Fiber(len).switch(""),
    "switch to the parent": lambda: getcurrent().parent.switch(1),  # type: ignore[union-attr]
    "switch to the main fiber": lambda: fibril.get_hub().main.switch(1),
    "throw": lambda: Fiber(len).throw(ValueError),
    "switch to the hub": lambda: fibril.get_hub().switch(1),
    "idle": fibril.idle,
    "offload": lambda: fibril.offload(native.sleep, 0.2),
    "read": read,
}


@pytest.mark.parametrize("name", REFUSED)
def test_to_wait_or_switch_in_it_is_refused(name: str) -> None:
    def call() -> Any:
        with pytest.raises(BlockingSwitchOutError, match=r"inside fibril\.on_main_stack"):
            on_main_stack(REFUSED[name])
        fibril.sleep(0)  # and all is as before
        return is_home()

    assert in_task(call) is False


def test_what_need_not_wait_is_done() -> None:
    def inner() -> Any:
        queue, lock = Queue(), Semaphore()
        queue.put(1)
        with lock:
            return queue.get()

    assert in_task(on_main_stack, inner) == 1


def test_it_may_spawn_and_wake_others() -> None:
    event = Event()
    waiter = spawn(event.wait)
    fibril.sleep(0)

    def inner() -> Any:
        event.set()
        return spawn(lambda: 5)

    assert in_task(on_main_stack, inner).get() == 5
    assert waiter.get() is True


def test_a_fiber_left_by_hand_is_unwound_only_after_it() -> None:
    seen: list[str] = []

    def left() -> None:
        try:
            getcurrent().parent.switch()  # type: ignore[union-attr]
        finally:
            seen.append("unwound")

    def inner() -> None:
        fiber = Fiber(left, getcurrent())
        holder.append(fiber)

    holder: list[Fiber] = []

    def outer() -> Any:
        fiber = Fiber(left)
        fiber.switch()
        cycle: list[Any] = [fiber]
        cycle.append(cycle)
        del fiber

        def drop() -> list[str]:
            cycle.clear()
            gc.collect()
            return list(seen)

        during = on_main_stack(drop)
        fibril.sleep(0)
        return during, list(seen)

    assert in_task(outer) == ([], ["unwound"])


def test_a_kill_from_another_thread_is_met_afterwards() -> None:
    inside, killed = threading.Event(), threading.Event()
    task: Task

    def inner() -> str:
        inside.set()
        assert killed.wait(10)
        return "finished"

    def body() -> Any:
        got = on_main_stack(inner)
        with pytest.raises(fibril.GreenletExit):
            fibril.sleep(0)
        return got

    def kill() -> None:
        assert inside.wait(10)
        task.kill(block=False)
        killed.set()

    thread = threading.Thread(target=kill)
    task = spawn(body)
    thread.start()
    assert task.get() == "finished"
    thread.join()


def test_a_task_that_kills_itself_in_it_is_told_there() -> None:
    def inner() -> None:
        try:
            getcurrent().kill()  # type: ignore[attr-defined]
        except fibril.GreenletExit:
            seen.append("there")
            raise

    seen: list[str] = []
    task = spawn(on_main_stack, inner)
    task.join()
    assert seen == ["there"]
    assert isinstance(task.value, fibril.GreenletExit)


def test_a_callback_of_the_hub_may_call_it() -> None:
    out: list[Any] = []
    done = Event()

    def callback() -> None:
        out.append(on_main_stack(is_home))
        with pytest.raises(BlockingSwitchOutError):
            on_main_stack(fibril.sleep, 0)
        fibril.get_hub().call_soon(done.set)

    fibril.get_hub().call_soon(callback)
    done.wait()
    assert out == [True]


def test_from_a_fiber_whose_main_fiber_left_by_hand() -> None:
    assert Fiber(lambda: (on_main_stack(is_home), is_home())).switch() == (True, False)


def depth_reached(limit: int) -> int:
    def go(depth: int) -> int:
        try:
            return sorted([depth, depth], key=lambda _: go(depth + 1) and 0) and reached[0]
        except RecursionError:
            reached[0] = max(reached[0], depth)
            raise

    reached = [0]
    try:
        go(0)
    except RecursionError:
        pass
    return reached[0]


def test_recursion_is_stopped_there_too() -> None:
    def inner() -> Any:
        before = depth_reached(0)
        return before > 5, on_main_stack(depth_reached, 0) > 30, depth_reached(0) == before

    depth_reached(0)
    assert in_task(inner) == (True, True, True)


def test_recursion_is_stopped_below_a_deep_main_fiber() -> None:
    def deep(depth: int) -> int:
        if depth == 0:
            return int(in_task(on_main_stack, depth_reached, 0))
        return max([1], key=lambda _: found.append(deep(depth - 1))) and found[-1]

    found: list[int] = []
    assert deep(60) > 5


def test_it_goes_on_in_the_child_of_a_fork(interpreter: Any) -> None:
    done = interpreter.run(
        """
        import os, fibril

        def fork():
            child = os.fork()
            if child == 0:
                return 0
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        def body():
            inside = fibril.on_main_stack(fork)
            if inside == 0:
                fibril.sleep(0.001)
                os._exit(30 + fibril.on_main_stack(max, 1, 3))
            outside = fork()
            if outside == 0:
                os._exit(40 + fibril.on_main_stack(max, 1, 3))
            print(inside, outside)

        fibril.spawn(body).get()
        """
    )
    assert (done.status, done.out, done.err) == (0, "33 43\n", "")
