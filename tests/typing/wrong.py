"""wrong.py: uses of fibril that checkers must refuse, each on the line that says why.

The idea: a type that is too wide lets mistakes pass and nobody sees it. tools/type_tests.py has
mypy and basedpyright check this file, both strict: each must find an error in every line marked
with `# error:`, and in no other line. Nobody runs it.

Do not add: mistakes that only one of the two finds, and mistakes of more than one line.
"""

import fibril
import fibril.select
import fibril.socket
import fibril.ssl
from fibril import Task, Timeout
from fibril.event import AsyncResult, Event
from fibril.hub import Waiter
from fibril.pool import Group, Pool
from fibril.queue import Channel, Queue
from fibril.threadpool import ThreadPool, ThreadPoolExecutor
from fibril.util import wrap_errors


def double(number: int, times: int = 1) -> int:
    return number << times


# ---- tasks ----


class Job(Task[int]):
    """A task with an argument of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def _run(self) -> int:
        return self.number


class OfAnotherType(Task[int]):
    """A task whose result is not what it says."""

    def _run(self) -> str:  # error: the result of a Task[int]
        return ""


def told_of_text(task: Task[str]) -> None:
    print(task.value)


def told_of_job(task: Job) -> None:
    print(task.number)


def spawned() -> None:
    fibril.spawn(double, "one")  # error: of another type
    fibril.spawn(double)  # error: one is missing
    fibril.spawn(double, 1, 2, 3)  # error: one too many
    fibril.spawn(double, 1, time=2)  # error: no such name
    fibril.spawn(double(1))  # error: not callable
    fibril.spawn()  # error: nothing to call
    fibril.spawn(double, 1, stack_size="1M")  # error: a number of bytes
    fibril.spawn_later(0, double, "one")  # error: of another type
    fibril.spawn_later(double, 1)  # error: no seconds
    fibril.spawn_raw(double, "one")  # error: of another type
    Task(double, "one")  # error: of another type
    Task(3)  # error: not callable


def results(task: Task[int]) -> None:
    first: str = fibril.spawn(double, 1).get()  # error: an int
    second: str = Job.spawn(1).get()  # error: an int
    third: int = task.value  # error: None until its end
    fourth: Task[str] = fibril.spawn(double, 1)  # error: a Task[int]
    print(first, second, third, fourth)
    task.get(timeout="1")  # error: a number of seconds
    task.value = 3  # error: cannot be set
    task.nothing()  # error: no such method


def links(task: Task[int]) -> None:
    task.link(told_of_text)  # error: is called with a Task[int]
    task.rawlink(told_of_job)  # error: is called with a Task[int]
    task.link(double)  # error: is called with a task
    task.link(print())  # error: not callable


def joined(tasks: list[Task[int]]) -> None:
    fibril.joinall([1, 2])  # error: no tasks
    fibril.joinall(tasks[0])  # error: one task
    first: list[Task[str]] = fibril.joinall(tasks)  # error: of int
    second: list[Task[str]] = fibril.wait(tasks)  # error: of int
    third: bool = fibril.wait(tasks)  # error: a list
    print(first, second, third)
    for task in fibril.iwait(tasks):
        task.nothing()  # error: no such method


# ---- queues, events ----


class Numbers(Queue[int]):
    """A queue whose hook takes something else."""

    def _put(self, item: str) -> None:  # error: a Queue[int] keeps int
        print(item)


def queues(queue: Queue[int], channel: Channel[int]) -> None:
    queue.put("one")  # error: of another type
    queue.put_nowait(None)  # error: of another type
    first: str = queue.get()  # error: an int
    second: str = queue.get(block=False)  # error: an int
    print(first, second, Queue[int](items=["one"]))  # error: of another type
    Queue("3")  # error: a number
    for item in queue:
        item.nothing()  # error: no such method
    channel.put("one")  # error: of another type


def events(result: AsyncResult[int], waiter: Waiter[int]) -> None:
    result.set("one")  # error: of another type
    result.set()  # error: None is no int
    result.set_exception("failed")  # error: no exception
    value: str = result.get()  # error: an int
    waiter.switch("one")  # error: of another type
    Event().wait("1")  # error: a number of seconds
    Event[int]()  # error: not generic
    print(value)


# ---- pools and threads ----


def pools(group: Group, pool: Pool) -> None:
    group.spawn(double, "one")  # error: of another type
    pool.spawn(double)  # error: one is missing
    pool.map(double, ["one"])  # error: of another type
    first: list[str] = pool.map(double, [1])  # error: of int
    second: str = pool.apply(double, (1,))  # error: an int
    third: list[str] = list(pool.imap(double, [1]))  # error: of int
    print(first, second, third, Pool("3"))  # error: a number
    pool.apply_async(double, (1,), callback=told_of_text)  # error: is called with an int


def threads(pool: ThreadPool, executor: ThreadPoolExecutor) -> None:
    fibril.offload(double, "one")  # error: of another type
    first: str = fibril.offload(double, 1)  # error: an int
    fibril.on_main_stack(double, "one")  # error: of another type
    pool.spawn(double, "one")  # error: of another type
    second: AsyncResult[str] = pool.spawn(double, 1)  # error: of int
    executor.submit(double, "one")  # error: of another type
    third: str = executor.submit(double, 1).result()  # error: an int
    print(first, second, third)


# ---- time, signals, wrappers ----


def limits() -> str:
    Timeout("1")  # error: a number of seconds
    fibril.with_timeout(1, double, "one")  # error: of another type
    late: int = fibril.with_timeout(1, double, 1, timeout_value="late")  # error: an int or a str
    fibril.signal_handler(10, double, "one")  # error: of another type
    wrap_errors(ValueError, double)("one")  # error: of another type
    wrap_errors(int, double)  # error: no class of exceptions
    fibril.sleep("1")  # error: a number of seconds
    return late  # error: an int


# ---- modules ----


def modules() -> None:
    fibril.socket.socket().sendall("text")  # error: bytes
    fibril.socket.create_connection("localhost")  # error: a host and a port
    fibril.socket.socket().recv(10).encode()  # error: bytes have no such method
    fibril.socket.getaddrinfo(1, 2)  # error: no host
    print(fibril.socket.AF_NOTHING)  # error: no such constant
    fibril.ssl.create_default_context(cafile=1)  # error: a path
    fibril.ssl.SSLContext().wrap_socket("text")  # error: a socket
    fibril.select.select(1, [], [])  # error: a list
    fibril.pool.Pol(3)  # error: no such class
    print(fibril.nothing)  # error: no such module
    fibril.threadpool.Executor(3)  # error: no such class
