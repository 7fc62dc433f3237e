"""What fails in an ordinary way leaves nothing for the collector: no exception has a frame of ours
that has the exception.

A frame of the program's own may, and gevent's programs are used to that: `task.get()` where `task`
is a variable leaves the task, its exception, and the frame. So each of these keeps no result.
"""

import gc
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import (
    Timeout,
    get_hub,
    joinall,
    killall,
    native,
    sleep,
    socket,
    spawn,
    ssl,
    with_timeout,
)
from fibril.event import AsyncResult, Event
from fibril.hub import Waiter
from fibril.lock import Condition, Semaphore
from fibril.pool import Group, Pool
from fibril.queue import Empty, Queue
from fibril.threadpool import ThreadPool, ThreadPoolExecutor
from fibril.util import assert_switches, wrap_errors

TIMES = 10
SOON_S = 0.0001


class Failure(Exception):
    pass


def fail(*ignored: Any) -> Any:
    raise Failure


def failed_result() -> AsyncResult:
    result = AsyncResult()
    result.set_exception(Failure())
    return result


def failing_result() -> AsyncResult:
    result = AsyncResult()
    get_hub().loop.run_callback(result.set_exception, Failure())
    return result


def killed_task() -> fibril.Task:
    task = spawn(sleep, 9)
    sleep(0)
    task.kill(Failure)
    return task


def thrown_at(waiter: Waiter) -> Waiter:
    waiter.throw(Failure())
    return waiter


def to_be_thrown_at(waiter: Waiter) -> Waiter:
    get_hub().loop.run_callback(waiter.throw, Failure())
    return waiter


def taken() -> Semaphore:
    return Semaphore(0)


def group_raises() -> None:
    group = Group()
    group.spawn(fail)
    group.join(raise_error=True)


def group_is_killed_for_too_long() -> None:
    def stay() -> None:
        while True:
            try:
                return sleep(20 * SOON_S)
            except fibril.GreenletExit:
                pass

    group = Group()
    group.spawn(stay)
    sleep(0)
    group.kill(timeout=SOON_S)
    group.join()


def condition_is_struck() -> None:
    condition = Condition()
    with Timeout(SOON_S), condition:
        condition.wait()


def block_is_struck() -> None:
    with Timeout(SOON_S):
        sleep(9)


def wait_for_a_watcher_ends() -> None:
    watcher = get_hub().loop.timer(9)
    get_hub().loop.run_callback(get_hub().cancel_wait, watcher, Failure)
    get_hub().wait(watcher)


def path_is_watched() -> None:
    with get_hub().loop.stat("/") as watcher:
        watcher.start(int)


def socket_is_late() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(SOON_S)
        left.recvfrom(1)


def connection_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    socket.create_connection(address)


def handshake_is_late() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(SOON_S)
        ssl.wrap_socket(left)


def switch_is_missing() -> None:
    with assert_switches():
        pass


POOL = ThreadPool(2)
EXECUTOR = ThreadPoolExecutor(2)

WAYS: dict[str, Callable[[], object]] = {
    "a task": lambda: spawn(fail).get(),
    "a task is late": lambda: spawn(sleep, 10 * SOON_S).get(timeout=SOON_S),
    "a killed task": lambda: killed_task().get(),
    "a result": lambda: failed_result().get(),
    "a later result": lambda: failing_result().get(),
    "no result": lambda: AsyncResult().get(timeout=SOON_S),
    "joinall": lambda: joinall([spawn(fail), spawn(sleep, SOON_S)], raise_error=True),
    "joinall is late": lambda: joinall([spawn(sleep, 10 * SOON_S)], timeout=SOON_S),
    "joinall is struck": lambda: with_timeout(SOON_S, joinall, [spawn(sleep, 10 * SOON_S)]),
    "killall": lambda: killall([spawn(sleep, 9)]),
    "a group": group_raises,
    "a group is killed for too long": group_is_killed_for_too_long,
    "map": lambda: Pool(2).map(fail, [1, 2]),
    "imap": lambda: list(Pool(2).imap(fail, [1, 2])),
    "imap_unordered": lambda: list(Pool(2).imap_unordered(fail, [1, 2])),
    "imap's iterable": lambda: list(Pool(2).imap(int, map(fail, [1]))),
    "apply": lambda: Pool(2).apply(fail),
    "apply_async": lambda: Pool(2).apply_async(fail).get(),
    "map_async": lambda: Pool(2).map_async(fail, [1]).get(),
    "a block is struck": block_is_struck,
    "with_timeout": lambda: with_timeout(SOON_S, sleep, 9),
    "with_timeout has a value": lambda: with_timeout(SOON_S, sleep, 9, timeout_value=1),
    "with_timeout fails": lambda: with_timeout(9, fail),
    "a waiter": lambda: thrown_at(Waiter()).get(),
    "a later waiter": lambda: to_be_thrown_at(Waiter()).get(),
    "a watcher": wait_for_a_watcher_ends,
    "a path": path_is_watched,
    "a semaphore": lambda: taken().acquire(timeout=SOON_S),
    "a semaphore is struck": lambda: with_timeout(SOON_S, taken().acquire),
    "a condition is struck": condition_is_struck,
    "a queue": lambda: Queue().get(timeout=SOON_S),
    "wait": lambda: fibril.wait([Event()], timeout=SOON_S),
    "wait is struck": lambda: with_timeout(SOON_S, fibril.wait, [Event()]),
    "iwait": lambda: list(fibril.iwait([spawn(fail)])),
    "offload": lambda: fibril.offload(fail),
    "offload is struck": lambda: with_timeout(SOON_S, fibril.offload, native.sleep, 10 * SOON_S),
    "a native thread": lambda: POOL.spawn(fail).get(),
    "map in native threads": lambda: POOL.map(fail, [1, 2]),
    "imap_unordered in native threads": lambda: list(POOL.imap_unordered(fail, [1])),
    "a future": lambda: EXECUTOR.submit(fail).result(),
    "futures": lambda: list(EXECUTOR.map(fail, [1])),
    "a name": lambda: socket.gethostbyaddr("a..b"),
    "a number": lambda: socket.getaddrinfo("127.0.0.1", "no such service"),
    "a socket is late": socket_is_late,
    "a connection": connection_is_refused,
    "a handshake": handshake_is_late,
    "wrap_errors": lambda: spawn(wrap_errors(Failure, fail)).get(),
    "assert_switches": switch_is_missing,
    "a callback": lambda: (get_hub().loop.run_callback(fail), sleep(0)),
    "a fiber": lambda: fibril.Fiber(fail).switch(),
    "on_main_stack": lambda: fibril.on_main_stack(fail),
}


@pytest.mark.fibril_unseen_ok("of those that fail together one is told")
@pytest.mark.parametrize("way", WAYS)
def test_a_failure_leaves_no_cycle(fresh: None, way: str) -> None:
    get_hub().exception_stream = None

    def once() -> None:
        try:
            WAYS[way]()
        except (Failure, Timeout, Empty, OSError, ValueError, AssertionError):
            pass

    once()  # what is made once
    sleep(20 * SOON_S)
    gc.collect()
    gc.disable()
    try:
        for _ in range(TIMES):
            once()
        sleep(20 * SOON_S)  # what native threads let go of a moment later
        left = gc.collect()
    finally:
        gc.enable()
    assert left < TIMES
