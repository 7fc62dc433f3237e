"""right.py: uses of fibril that checkers must accept, and the types that they must see.

The idea: what is asserted here is what a user's editor shows him. tools/type_tests.py has mypy and
basedpyright check it, both strict, against the installed package, and runs it: what is right for a
checker must be right at run time, too.

Do not add: what a checker must refuse. That is in wrong.py.
"""

import ssl
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any, assert_type

import fibril
import fibril.select
import fibril.selectors
import fibril.signal
import fibril.socket
import fibril.ssl
import fibril.thread
import fibril.time
from fibril import Fiber, Task, Timeout
from fibril.event import AsyncResult, Event
from fibril.hub import Waiter
from fibril.local import local
from fibril.lock import BoundedSemaphore, Condition, RLock, Semaphore
from fibril.pool import Group, Pool
from fibril.queue import (
    Channel,
    Empty,
    JoinableQueue,
    LifoQueue,
    PriorityQueue,
    Queue,
    SimpleQueue,
    UnboundQueue,
)
from fibril.testing import simulated
from fibril.threadpool import ThreadPool, ThreadPoolExecutor
from fibril.util import wrap_errors


def double(number: int, times: int = 1) -> int:
    return number << times


def join(*words: str, sep: str = " ") -> str:
    return sep.join(words)


# ---- tasks ----


class Job(Task[int]):
    """A task with arguments of its own, and a result."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def _run(self) -> int:
        return self.number


class Named(Task[str]):
    """A task that takes a function, and wraps its run."""

    def run(self) -> None:
        super().run()


def spawned() -> None:
    task = fibril.spawn(double, 1, times=2)
    assert_type(task, Task[int])
    assert_type(task.get(), int)
    assert_type(task.get(block=False), int)
    assert_type(task.get(timeout=1), int)
    assert_type(task.value, int | None)
    assert_type(task.exception, BaseException | None)
    assert_type(fibril.spawn(join, "a", "b", sep="-").get(), str)
    assert_type(fibril.spawn(join, "a", stack_size=1 << 20), Task[str])
    assert_type(fibril.spawn_later(0, double, 1), Task[int])
    assert_type(fibril.spawn_later(0, double, 1, stack_size=None).get(), int)
    assert_type(fibril.spawn(lambda: [1]).get(), list[int])
    assert_type(fibril.spawn(print, "", end="").get(), None)
    assert_type(fibril.spawn_raw(print, end=""), Fiber)


def made() -> None:
    assert_type(Task(double, 1, times=2), Task[int])
    assert_type(Task(run=double), Task[int])
    assert_type(Task(double, 1, stack_size=1 << 20), Task[int])
    assert_type(Task[int].spawn(double, 1).get(), int)
    task: Task[int] = Task.spawn_later(0, double, 1)
    assert_type(task.get(), int)
    assert_type(Job(3).number, int)
    assert_type(Job.spawn(3), Job)
    assert_type(Job.spawn(3).get(), int)
    assert_type(Job.spawn_later(0, 3).get(), int)
    assert_type(Named.spawn(join, "a").get(), str)
    with Job.spawn(1) as job:
        assert_type(job, Job)
    plain: Task = fibril.spawn(double, 1)  # of anything
    assert_type(plain.get(), Any)
    widened(fibril.spawn(double, 1))


def widened(task: Task[object]) -> None:
    assert_type(task.get(), object)


def linked() -> None:
    def told(task: Task[int]) -> None:
        assert_type(task.value, int | None)

    def job_told(job: Job) -> None:
        assert_type(job.number, int)

    task = fibril.spawn(double, 1)
    task.link(told)
    task.rawlink(told)
    task.link_value(lambda ended: assert_type(ended.get(), int))
    task.unlink(told)
    result = AsyncResult[int]()
    task.link(result)
    Job.spawn(1).link(job_told)
    assert_type(result.get(), int)
    task.kill(ValueError("enough"), block=False)


def joined() -> None:
    tasks = [fibril.spawn(double, n) for n in range(2)]
    assert_type(fibril.joinall(tasks), list[Task[int]])
    assert_type(fibril.joinall([Job.spawn(1)], timeout=1, raise_error=True), list[Job])
    assert_type(fibril.joinall(fibril.spawn(join, c) for c in "ab"), list[Task[str]])
    assert_type([task.get() for task in fibril.joinall(tasks)], list[int])
    fibril.joinall([fibril.spawn(double, 1), fibril.spawn(join, "a")])
    fibril.killall(tasks, block=False)
    fibril.kill(tasks[0])
    assert_type(fibril.wait(tasks), list[Task[int]])
    assert_type(fibril.wait(tasks, timeout=1, count=1), list[Task[int]])
    assert_type(fibril.wait(timeout=0), bool)
    for task in fibril.iwait(tasks):
        assert_type(task, Task[int])
    with fibril.iwait(tasks) as ready:
        assert_type(next(ready), Task[int])
    event = Event()
    event.set()
    fibril.wait([event, tasks[0]])


def fibers() -> None:
    fiber = Fiber(double)
    assert_type(fiber.switch(1), Any)
    assert_type(fiber.dead, bool)
    assert_type(fibril.getcurrent(), Fiber)
    assert_type(
        fibril.get_hub().parked()[0][0] if fibril.get_hub().parked() else None, Fiber | None
    )


# ---- queues ----


class Letters(Queue[str]):
    """A queue with an order of its own."""

    def _init(self, maxsize: int | None, items: Any = ()) -> None:
        self.queue: list[str] = list(items)

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: str) -> None:
        self.queue.append(item)

    def _get(self) -> str:
        return self.queue.pop()


def queues() -> None:
    queue = Queue[int](3)
    queue.put(1)
    queue.put(2, block=False)
    queue.put_nowait(3)
    assert_type(queue.peek(), int)
    assert_type(queue.get(), int)
    assert_type(queue.get(block=False), int)
    assert_type(queue.get_nowait(), int)
    try:
        assert_type(queue.get(timeout=0), int)
    except Empty:
        pass
    assert_type(queue.copy(), Queue[int])
    assert_type(queue.maxsize, int | None)
    assert_type(Queue(items=["a"]), Queue[str])
    assert_type(SimpleQueue(items=[1.5]).get(), float)
    assert_type(LifoQueue(items=["a"]).get(), str)
    assert_type(PriorityQueue(items=[(1, "a")]).get(), tuple[int, str])
    assert_type(UnboundQueue(items=[b""]).get(), bytes)
    joinable: JoinableQueue[int] = JoinableQueue()
    assert_type(joinable.join(0), bool)
    letters = Letters(items="ab")
    assert_type(letters.get(), str)
    anything: Queue = Queue()
    anything.put(None)
    assert_type(anything.get(), Any)
    ended = Queue[int | type[StopIteration]](items=[1, StopIteration])
    assert_type(list(ended), list[int | type[StopIteration]])
    channel = Channel[str]()
    fibril.spawn(channel.put, "a")
    assert_type(channel.get(), str)


# ---- events, locks, locals ----


class Mine(local):
    """Values of each fiber."""

    count: int = 0


def events() -> None:
    result = AsyncResult[int]()
    fibril.spawn(result.set, 3)
    assert_type(result.get(timeout=1), int)
    assert_type(result.wait(), int | None)
    assert_type(result.value, int | None)
    result.rawlink(lambda source: assert_type(source.value, int | None))
    AsyncResult[None]().set()
    anything: AsyncResult = AsyncResult()
    anything.set()
    assert_type(anything.get(), Any)
    waiter = Waiter[str]()
    waiter.switch("a")
    assert_type(waiter.get(), str)
    event = Event()
    assert_type(event.wait(timeout=0), bool)
    event.rawlink(lambda source: assert_type(source, Event))


def locks() -> None:
    with Semaphore(2), BoundedSemaphore(1), RLock() as is_ours:
        assert_type(is_ours, bool)
    condition = Condition()
    with condition:
        assert_type(condition.wait(timeout=0), bool)
    assert_type(Mine().count, int)


# ---- pools and threads ----


def spawned_in(pool: Group) -> None:
    assert_type(pool.spawn(double, 1), Task[int])
    assert_type(pool.spawn(join, "a", stack_size=1 << 20), Task[str])
    assert_type(pool.apply(double, (1,)), int)
    assert_type(pool.apply_async(join, ("a",)).get(), str)
    assert_type(pool.map(double, [1, 2]), list[int])
    assert_type(pool.map(str, [1, 2]), list[str])
    assert_type(pool.map_async(str, [1, 2]), Task[list[str]])
    assert_type(pool.imap(double, [1, 2], [3, 4]), Iterator[int])
    assert_type(pool.imap_unordered(str, [1, 2], maxsize=1), Iterator[str])
    assert_type(pool.join(timeout=1), bool)


def threads() -> None:
    pool = ThreadPool(2)
    assert_type(pool.spawn(double, 1), AsyncResult[int])
    assert_type(pool.apply(join, ("a",)), str)
    assert_type(pool.map(str, [1]), list[str])
    assert_type(pool.apply_async(double, (1,)).get(), int)
    assert_type(fibril.offload(double, 1, times=2), int)
    assert_type(fibril.on_main_stack(join, "a", sep=""), str)
    assert_type(fibril.get_hub().threadpool, ThreadPool)
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(double, 1)
        assert_type(future.result(timeout=1), int)
        assert_type(fibril.wait([future])[0].result(), int)
        standard: futures.Future[int] = future
        assert_type(standard.result(), int)
        assert_type(list(executor.map(str, [1])), list[str])


# ---- time ----


def limits() -> str:
    with Timeout(1) as timeout:
        assert_type(timeout, Timeout)
    assert_type(fibril.with_timeout(1, double, 1, times=2), int)
    assert_type(fibril.with_timeout(1, double, 1, timeout_value="late"), int | str)
    assert_type(simulated(double)(1, times=2), int)
    assert_type(wrap_errors(ValueError, double)(1), int | ValueError)
    assert_type(wrap_errors((KeyError, KeyError), join)("a"), str | KeyError)
    with Timeout(1):
        return "what follows is not needed: such a block swallows nothing"


# ---- modules that are shaped like the standard library's ----


def sockets() -> None:
    from fibril import socket

    left, right = socket.socketpair()
    assert_type(left, socket.socket)
    left.sendall(b"hello, world, once more")
    assert_type(right.recv(1), bytes)
    assert_type(right.recv_into(bytearray(1)), int)
    assert_type(right.recvfrom(1)[0], bytes)
    assert_type(right.recvmsg(1)[0], bytes)
    assert_type(left.send(b"x"), int)
    assert_type(left.fileno(), int)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address[:2], timeout=5) as client:
            assert_type(client, socket.socket)
            assert_type(server.accept()[0], socket.socket)
    found = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert_type(found[0][3], str)
    assert_type(socket.gethostbyname("127.0.0.1"), str)
    numbers: list[int] = [socket.AF_INET, socket.AF_UNIX, socket.SOCK_DGRAM, socket.SOL_SOCKET]
    numbers += [socket.SO_REUSEADDR, socket.SHUT_WR, socket.EBADF, socket.EWOULDBLOCK]
    assert_type(sum(numbers), int)
    errors: list[type[OSError]] = [socket.error, socket.gaierror, socket.herror]
    assert_type(len(errors), int)
    assert_type(socket.timeout, type[TimeoutError])
    socket.wait_write(left.fileno(), timeout=1)
    made: socket.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.close()


def tls(sock: fibril.socket.socket) -> fibril.ssl.SSLSocket:
    context = fibril.ssl.create_default_context()
    assert_type(context, fibril.ssl.SSLContext)
    context.verify_mode = fibril.ssl.CERT_NONE
    assert_type(fibril.ssl.cooperate(ssl.create_default_context()), ssl.SSLContext)
    wrapped = context.wrap_socket(sock, server_hostname="localhost")
    assert_type(wrapped, fibril.ssl.SSLSocket)
    assert_type(wrapped.recv(1), bytes)
    assert_type(wrapped.version(), str | None)
    return wrapped


def polls() -> None:
    left, right = fibril.socket.socketpair()
    left.send(b"x")
    readable, writable, _ = fibril.select.select([right], [left], [], 1)
    assert_type(readable, list[fibril.socket.socket])
    assert_type(writable, list[fibril.socket.socket])
    poll = fibril.select.poll()
    poll.register(right, fibril.select.POLLIN)
    assert_type(poll.poll(1), list[tuple[int, int]])
    with fibril.selectors.DefaultSelector() as selector:
        selector.register(right, fibril.selectors.EVENT_READ)
        assert_type(selector.select(1)[0][0].fd, int)


def rest() -> None:
    fibril.time.sleep(0)
    assert_type(fibril.time.monotonic(), float)
    lock = fibril.thread.allocate_lock()
    assert_type(lock.acquire(timeout=1), bool)
    assert_type(fibril.thread.get_ident(), int)
    assert_type(callable(fibril.signal.getsignal(2)), bool)
    handler = fibril.signal_handler(10, double, 1, times=2)
    handler.cancel()
    assert_type(threading.current_thread().name, str)


def lazily() -> None:
    pool = fibril.pool.Pool(3)
    assert_type(pool.map(str, [1]), list[str])
    assert_type(fibril.queue.Queue[int]().qsize(), int)
    assert_type(fibril.util.format_run_info(), list[str])
    assert_type(fibril.event.AsyncResult[int]().ready(), bool)
    assert_type(fibril.monkey.is_anything_patched(), bool)
    assert_type(fibril.config.config.set("loop", "fibril"), None)
    assert_type(fibril.threadpool.ThreadPoolExecutor(1).submit(double, 1).result(), int)


def main() -> None:
    for check in (spawned, made, linked, joined, fibers, queues, events, locks, threads, limits):
        check()
    spawned_in(Group())
    spawned_in(Pool(2))
    for check in (sockets, polls, rest, lazily):
        check()


if __name__ == "__main__":
    main()
