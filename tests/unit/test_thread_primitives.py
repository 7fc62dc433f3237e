"""What stands for `_thread` in patched programs: identities, locks and threads that are tasks."""

import contextvars
import inspect
import sys
from typing import Any

import pytest

import fibril
from fibril import native, thread
from tests.conftest import Sim

LOCKS = pytest.mark.parametrize("cls", [thread.LockType, thread.RLock])


def test_the_main_fiber_has_its_native_threads_identity(fresh: None) -> None:
    assert thread.get_ident() == native.get_ident()
    assert fibril.Fiber(thread.get_ident).switch() not in (native.get_ident(), None)


def test_each_task_has_an_identity_that_stays(fresh: None) -> None:
    def identities() -> list[int]:
        seen = [thread.get_ident()]
        fibril.sleep(0)
        return [*seen, thread.get_ident()]

    tasks = [fibril.spawn(identities) for _ in range(10)]
    found = [task.get() for task in tasks]
    assert len({tuple(pair) for pair in found}) == 10
    assert all(first == second for first, second in found)


@LOCKS
def test_who_waits_for_a_lock_lets_others_run(fresh: None, cls: Any) -> None:
    lock = cls()
    order: list[str] = []

    def work(name: str) -> None:
        with lock:
            order.append(name)
            fibril.sleep(0)
            order.append(name)

    fibril.joinall([fibril.spawn(work, name) for name in "abc"])
    assert "".join(order) == "aabbcc"


@LOCKS
def test_a_lock_gives_up_in_time(sim: Sim, cls: Any) -> None:
    lock = cls()
    fibril.spawn(lock.acquire).join()
    began = sim.now()
    assert lock.acquire(timeout=3) is False
    assert sim.now() - began == pytest.approx(3)
    assert lock.acquire(timeout=0) is False
    assert lock.acquire(False) is False
    assert lock.acquire(blocking=False) is False


@LOCKS
def test_bad_timeouts_are_refused_as_the_standard_library_does(cls: Any) -> None:
    lock = cls()
    with pytest.raises(ValueError, match="can't specify a timeout for a non-blocking call"):
        lock.acquire(False, 1)
    with pytest.raises(ValueError, match="timeout value must be a non-negative number"):
        lock.acquire(timeout=-2)
    with pytest.raises(OverflowError, match="timeout value is too large"):
        lock.acquire(timeout=1e100)


def test_a_lock_tells_how_acquire_is_used() -> None:
    acquire: Any = thread.LockType().acquire
    for args, kwargs in (((1, 2, 3), {}), ((), {"wait": 1}), ((True,), {"blocking": True})):
        with pytest.raises(TypeError, match=r"use acquire\(blocking=True, timeout=-1\)"):
            acquire(*args, **kwargs)


@LOCKS
def test_releasing_what_nobody_has_is_refused(cls: Any) -> None:
    lock = cls()
    with pytest.raises(RuntimeError, match=r"release un(-acquired|locked) lock"):
        lock.release()
    assert lock.acquire() is True
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()
    assert repr(lock).startswith("<unlocked fibril.thread.")


def test_a_lock_may_be_released_by_another(fresh: None) -> None:
    lock = thread.allocate_lock()
    lock.acquire()
    assert (lock.locked(), repr(lock)[:8]) == (True, "<locked ")
    fibril.spawn(lock.release).join()
    assert not lock.locked()


@pytest.mark.filterwarnings("ignore:Passing arguments to RLock")
@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1,), {}), ((), {"x": 1})])
def test_an_rlock_takes_what_the_native_one_takes(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    class Named(thread.RLock):
        def __init__(self, *args: int, **kwargs: int) -> None:
            super().__init__()

    Named(*args, **kwargs)
    try:
        native.RLock(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            thread.RLock(*args, **kwargs)
    else:
        thread.RLock(*args, **kwargs)


def test_an_rlock_tells_whose_it_is_and_how_often(fresh: None) -> None:
    """In CPython's words, whoever asks."""

    def told() -> tuple[str, str]:
        words = repr(lock).split()
        return words[0], " ".join(words[-4:-2])

    lock = thread.RLock()
    assert told() == ("<unlocked", "owner=0 count=0")
    with lock, lock:
        mine = f"owner={thread.get_ident()} count=2"
        assert told() == ("<locked", mine)
        assert fibril.spawn(told).get() == ("<locked", mine)
        task = fibril.spawn(lambda: [lock.acquire(), told(), lock.release()][1])
        fibril.sleep(0)
    assert task.get() == ("<locked", f"owner={id(task)} count=1")
    assert told() == ("<unlocked", "owner=0 count=0")


def test_an_rlock_belongs_to_the_fiber_that_has_it(fresh: None) -> None:
    lock = thread.RLock()
    with lock, lock:
        assert lock._is_owned()
        assert lock._recursion_count() == 2
        assert fibril.spawn(lock.acquire, False).get() is False
        task = fibril.spawn(lock.release)
        fibril.joinall([task])
        assert isinstance(task.exception, RuntimeError)
    assert fibril.spawn(lock.acquire, False).get() is True


def test_a_lock_is_handed_over_between_native_threads(fresh: None) -> None:
    lock, done = thread.LockType(), thread.LockType()
    done.acquire()
    lock.acquire()

    def wait() -> None:
        with lock:
            done.release()

    native.start_new_thread(wait, ())
    fibril.sleep(0.001)
    lock.release()
    assert done.acquire(timeout=20)


def test_a_locks_at_fork_reinit_frees_it() -> None:
    for lock in (thread.LockType(), thread.RLock()):
        lock.acquire()
        lock._at_fork_reinit()
        assert lock.acquire(False)


def test_a_new_thread_is_a_task_with_no_context_variables(fresh: None) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(1)
    seen: list[Any] = []

    def run(*args: object, **kwargs: object) -> None:
        seen.extend([args, kwargs, variable.get(), thread.get_ident(), native.get_ident()])

    ident = thread.start_new_thread(run, (1, 2), {"c": 3})
    fibril.sleep(0)
    assert seen == [(1, 2), {"c": 3}, 0, ident, native.get_ident()]


def test_system_exit_ends_a_thread_silently(fresh: None, capsys: Any) -> None:
    thread.start_new_thread(thread.exit, ())
    fibril.sleep(0)
    fibril.sleep(0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [(1, ()), (len, []), (len, (), [])])
def test_what_cannot_be_a_thread_is_refused(arguments: Any) -> None:
    with pytest.raises(TypeError):
        thread.start_new_thread(*arguments)


def test_the_count_is_of_tasks_that_are_threads(fresh: None) -> None:
    before = thread._count()
    lock = thread.LockType()
    lock.acquire()
    for _ in range(3):
        thread.start_new_thread(lock.acquire, ())
    fibril.sleep(0)
    assert thread._count() == before + 3
    for _ in range(4):
        lock.release()
        fibril.sleep(0)
    assert thread._count() == before


def test_the_lock_is_no_base_class() -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Own", (thread.LockType,), {})


@LOCKS
def test_each_method_tells_its_signature(cls: type) -> None:
    names = [name for name in vars(cls) if callable(getattr(cls, name)) and name[:2] != "__"]
    for name in (*names, "__enter__", "__exit__"):
        assert inspect.signature(getattr(cls, name))


def test_what_a_thread_dies_of_is_told_to_the_hook_for_that(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append((args.err_msg, args)))

    def fail() -> None:
        raise ValueError("it failed")

    thread.start_new_thread(fail, ())
    fibril.sleep(0)
    [(message, args)] = told
    assert str(args.exc_value) == "it failed"
    assert args.exc_traceback is not None
    assert message.startswith("Exception ignored in thread started by")
    assert (args.object is fail) or (args.object is None and repr(fail) in message)
