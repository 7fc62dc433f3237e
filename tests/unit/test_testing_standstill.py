"""fibril.testing.wait_all_parked: the moment when everybody else waits."""

import socket as stdlib_socket
from typing import Any

import pytest

import fibril
from fibril import LoopExit, Timeout, _core, get_hub, getcurrent, sleep, spawn
from fibril.event import Event
from fibril.testing import wait_all_parked
from tests.conftest import Growth, Sim

HOUR_S = 3600.0


def test_all_others_are_parked_when_it_returns(sim: Sim) -> None:
    steps: list[int] = []

    def work(number: int) -> None:
        for _ in range(number):
            sleep(0)
            steps.append(number)
        Event().wait(HOUR_S)

    for number in (1, 200, 3):
        spawn(work, number)
    wait_all_parked()
    assert len(steps) == 204
    assert sim.now() == 0


def test_it_needs_nobody_else_and_may_be_asked_at_any_time(sim: Sim) -> None:
    for _ in range(3):
        wait_all_parked()
    task = spawn(wait_all_parked)
    wait_all_parked()
    task.join()
    assert sim.now() == 0


def test_several_who_wait_for_it_are_all_woken(sim: Sim) -> None:
    order: list[int] = []

    def wait(number: int) -> None:
        wait_all_parked()
        order.append(number)

    for number in range(5):
        spawn(wait, number)
    busy = spawn(lambda: [sleep(0) for _ in range(100)])
    wait_all_parked()
    assert busy.ready()
    sleep(0)
    assert order == [0, 1, 2, 3, 4]


def test_what_the_hub_will_call_comes_first(sim: Sim) -> None:
    called: list[int] = []
    get_hub().call_soon(lambda: get_hub().call_soon(called.append, 1))
    wait_all_parked()
    assert called == [1]


def test_what_was_fed_comes_first(sim: Sim) -> None:
    task = spawn(_core.wait_read, 5)
    wait_all_parked()
    sim.feed(5, sim.READ)
    wait_all_parked()
    assert task.ready()


def test_a_cushion_is_quiet_that_nothing_interrupts(sim: Sim) -> None:
    fibril.spawn_later(1, int)
    fibril.spawn_later(2.5, int)
    fibril.spawn_later(10, int)
    wait_all_parked(2)
    assert sim.now() == 4.5


def test_the_smallest_cushion_is_woken_first_and_ends_the_quiet(sim: Sim) -> None:
    woken: dict[float, float] = {}

    def wait(cushion: float) -> None:
        wait_all_parked(cushion)
        woken[cushion] = sim.now()

    tasks = [spawn(wait, cushion) for cushion in (3, 1, 2)]
    fibril.joinall(tasks)
    assert woken == {1: 1, 2: 3, 3: 6}


@pytest.mark.parametrize("cushion", [-1, float("nan")])
def test_a_cushion_has_a_length(cushion: float) -> None:
    with pytest.raises(ValueError, match="seconds of quiet"):
        wait_all_parked(cushion)


def test_who_waits_for_it_may_be_killed_and_timed_out(sim: Sim) -> None:
    task = spawn(wait_all_parked, 100)
    sleep(0)
    with pytest.raises(Timeout), Timeout(1):
        wait_all_parked(100)
    task.kill()
    assert task.dead
    assert sim.now() == 1
    wait_all_parked()


def test_a_dead_end_of_the_others_is_no_dead_end_for_who_waits_for_it(sim: Sim) -> None:
    task = spawn(Event().wait)
    wait_all_parked()
    assert not task.dead
    with pytest.raises(LoopExit):
        task.join()


def test_it_works_in_the_real_world(fresh: None) -> None:
    left, right = stdlib_socket.socketpair()
    with left, right:
        reader = spawn(_core.wait_read, left.fileno())
        sleeper = spawn(sleep, HOUR_S)
        wait_all_parked()
        assert not reader.ready()
        right.send(b"x")
        wait_all_parked()  # what the kernel has to tell comes first
        assert reader.ready()
        assert not sleeper.ready()
        wait_all_parked(0.001)
        sleeper.kill()


def test_it_may_not_be_waited_for_in_the_hub(sim: Sim, capsys: Any) -> None:
    get_hub().call_soon(wait_all_parked)
    wait_all_parked()
    assert "BlockingSwitchOutError" in capsys.readouterr().err


def test_waiting_for_it_leaves_nothing_behind(sim: Sim, growth: Growth) -> None:
    def wait() -> None:
        task = spawn(wait_all_parked, 1)
        wait_all_parked()
        task.kill()
        assert getcurrent() is get_hub().main

    growth.refuse(wait)
