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
SLACK = 25  # at most so many more may run before who waits


def compute() -> None:
    """Keep the thread for 6 ms."""
    end = time.perf_counter() + 0.006
    while time.perf_counter() < end:
        pass


def count_before(cause: Callable[[], object], wait: Callable[[], object]) -> int:
    """How many of the crowd have run after cause(), when wait() returns."""
    done: list[int] = []

    def work(number: int) -> None:
        if number == CAUSE:
            cause()
        compute()
        done.append(number)

    def waiting() -> int:
        wait()
        return len(done)

    waiter = spawn(waiting)
    fibril.sleep(0)
    fibril.joinall([spawn(work, number) for number in range(CROWD)])
    return waiter.get() - CAUSE


def test_a_byte_overtakes(fresh: None) -> None:
    left, right = socket.socketpair()
    with left, right:
        assert count_before(lambda: right.send(b"x"), lambda: left.recv(1)) <= SLACK


def test_a_timer_overtakes(fresh: None) -> None:
    assert count_before(int, lambda: fibril.sleep(CAUSE * 0.006)) <= SLACK


def test_what_a_worker_has_done_overtakes(fresh: None) -> None:
    job = get_hub().threadpool.spawn(time.sleep, CAUSE * 0.006)
    assert count_before(int, job.get) <= SLACK


@pytest.mark.parametrize("name", ["event", "queue"])
def test_what_another_thread_hands_over_overtakes(fresh: None, name: str) -> None:
    event, queue = Event(), fibril.queue.Queue[int]()
    give = event.set if name == "event" else lambda: queue.put(1)
    take = event.wait if name == "event" else queue.get
    thread = threading.Thread(target=lambda: (time.sleep(CAUSE * 0.006), give()))
    thread.start()
    assert count_before(int, take) <= SLACK
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
