"""Those who compute do not hold up for whom the world outside has something.

The order of a crowd tells, not the time: who is served at the end has seen all of it run.
"""

import threading
import time
from collections.abc import Callable

import pytest

import fibril
from fibril import get_hub, socket, spawn
from fibril.event import Event

CROWD = 60
CAUSE = 20  # the number of the one in whose turn the thing happens that somebody waits for
SLACK = 20  # at most so many more may run before who waits: the hub looks after 16 at the latest


def compute() -> None:
    """Keep the thread for 6 ms."""
    end = time.perf_counter() + 0.006
    while time.perf_counter() < end:
        pass


class Crowd:
    """Tasks that compute, one after the other, and somebody who waits beside them."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.happened_at: int | None = None

    def happens(self) -> None:
        """What somebody waits for happens now."""
        self.happened_at = len(self.done)

    def count_before(self, wait: Callable[[], object], cause: Callable[[], object] = int) -> int:
        """How many have run when wait() returns, since it happened. One of them calls cause()."""

        def work(number: int) -> None:
            if number == CAUSE:
                cause()
            compute()
            self.done.append(number)

        def waiting() -> int:
            wait()
            return len(self.done)

        waiter = spawn(waiting)
        fibril.sleep(0)
        fibril.joinall([spawn(work, number) for number in range(CROWD)])
        assert self.happened_at is not None
        return waiter.get() - self.happened_at


def test_a_byte_overtakes(fresh: None) -> None:
    left, right = socket.socketpair()
    crowd = Crowd()

    def send() -> None:
        crowd.happens()
        right.send(b"x")

    with left, right:
        assert crowd.count_before(lambda: left.recv(1), send) <= SLACK


def test_a_timer_overtakes(fresh: None) -> None:
    crowd = Crowd()
    crowd.happened_at = CAUSE  # or later: then more have run
    assert crowd.count_before(lambda: fibril.sleep(CAUSE * 0.006)) <= SLACK


def test_what_a_worker_has_done_overtakes(fresh: None) -> None:
    crowd = Crowd()

    def work() -> None:
        time.sleep(CAUSE * 0.006)
        crowd.happens()

    job = get_hub().threadpool.spawn(work)
    assert crowd.count_before(job.get) <= SLACK


@pytest.mark.parametrize("name", ["event", "queue"])
def test_what_another_thread_hands_over_overtakes(fresh: None, name: str) -> None:
    event, queue, crowd = Event(), fibril.queue.Queue[int](), Crowd()

    def give() -> None:
        time.sleep(CAUSE * 0.006)
        crowd.happens()
        if name == "event":
            event.set()
        else:
            queue.put(1)

    thread = threading.Thread(target=give)
    thread.start()
    assert crowd.count_before(event.wait if name == "event" else queue.get) <= SLACK
    thread.join()


def test_who_is_woken_again_and_again_starves_nobody(fresh: None) -> None:
    """A pair that plays ping-pong through sockets, beside a crowd: all of it runs."""
    left, right = socket.socketpair()
    turns = 0

    def play(own: socket.socket) -> None:
        nonlocal turns
        while own.recv(1):
            turns += 1
            own.send(b"x")

    with left, right:
        players = [spawn(play, left), spawn(play, right)]
        left.send(b"x")
        fibril.joinall([spawn(compute) for _ in range(CROWD)], timeout=30, raise_error=True)
        assert turns >= CROWD / 5
        fibril.killall(players)
