"""What is done with each client, in tasks, the standard library patched. A program, not a test.

    python -m tests.clients.run_client CLIENT TRIAL SEED PLACE [--on gevent]

CLIENT is a class, "redis.Own", PLACE a client.Place in JSON. TRIAL is one of

    crowd    As many tasks as the client says ask at once, and no answer comes before all of them
             have asked. Then the same without that gate, beside one alone: the times are printed.
    storm    Tasks ask again and again, and are killed and run out of time wherever they are. Each
             answer is the one to its question.

After both no descriptor, task or connection is left that was not there before. Prints figures, and
at the end "all well", or what was wrong, with exit status 1. With `--on gevent` gevent runs it.
"""

import faulthandler
import gc
import importlib
import itertools
import json
import os
import random
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.clients.client import Client, Place, Question
from tests.clients.engine import Task, engine

LIMIT_S = float(os.environ.get("CLIENTS_LIMIT_S", "60"))  # for what takes seconds
ONE_S = 0.5  # what a question of the crowd takes
QUESTIONS = 12  # of each task in the storm
KILLS = 2  # for each of them

complaints: list[str] = []


def complain(error: Exception) -> None:
    place = traceback.extract_tb(error.__traceback__)[-1]
    complaints.append(f"{type(error).__name__}: {error}, at {place.filename}:{place.lineno}")


# ---- what is there ----


def descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the one that listed them
    return found


def tasks() -> set[Any]:
    """Who has not ended, besides those that fibril or gevent itself has."""
    return {
        each
        for each in gc.get_objects()
        if isinstance(each, Task) and not each.dead and each.started
    }


def relay_counts(place: Place) -> dict[str, int]:
    with socket.create_connection(("127.0.0.1", place.control), LIMIT_S) as control:
        text = b"".join(iter(lambda: control.recv(1000), b""))
    return dict(json.loads(text))


class Belongings:
    """What there was before."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.descriptors = descriptors()
        self.tasks = tasks()
        self.open = relay_counts(place)["open"]

    def left(self) -> list[str]:
        count = relay_counts(self.place)["open"] - self.open
        found = [f"{count} connections at the server"] if count > 0 else []
        new = descriptors()
        found += [
            f"descriptor {fd}: {new[fd]}" for fd in new if new[fd] != self.descriptors.get(fd)
        ]
        return [*found, *(f"task {each!r:.300}" for each in tasks() - self.tasks)]

    def complain(self) -> None:
        """Who is about to end may do so: paramiko has timers of 15 s."""
        deadline = time.monotonic() + LIMIT_S / 3
        while time.monotonic() < deadline:
            gc.collect()
            if not self.left():
                return
            time.sleep(0.05)
        complaints.extend(f"left: {each}" for each in self.left()[:20])


# ---- all at once ----


def crowd(client: Client) -> None:
    connections = dict(sorted(at_once(client.connect, [()] * client.crowd).items()))
    if len(connections) == client.crowd:
        print(f"{client.crowd} at a gate, in {ask_all(client, connections, client.crowd):.2f} s")
        if not complaints:
            measure(client, connections)
    at_once(client.close, [(each,) for each in connections.values()])


def ask_all(client: Client, connections: dict[int, Any], gate: int) -> float:
    """Each of them a question, at once; how long that took."""
    questions = [(each, Question(number, ONE_S, gate)) for number, each in connections.items()]
    began = time.monotonic()
    answers = at_once(client.ask, questions)
    took = time.monotonic() - began
    wrong = {number: answers[number] for number in answers if answers[number] != number}
    if wrong or len(answers) < client.crowd:
        complaints.append(
            f"{len(answers)} of {client.crowd} answered, wrong: {wrong}; "
            f"{relay_counts(client.place)['at_gate']} have ever asked at once"
        )
    return took


def measure(client: Client, connections: dict[int, Any]) -> None:
    """Without the gate: how long do all take, beside a single one? It was the gate that proved that
    they wait at once; this shows what they compute, and that depends on the machine."""
    began = time.monotonic()
    client.ask(connections[0], Question(0, ONE_S))
    single = time.monotonic() - began
    took = ask_all(client, connections, 0)
    print(f"one takes {single:.2f} s, {client.crowd} take {took:.2f} s: {took / single:.1f} times")


def at_once(function: Any, arguments: list[tuple[Any, ...]]) -> dict[int, Any]:
    """What each call returns, by number."""
    results = {}

    def call(number: int, each: tuple[Any, ...]) -> None:
        try:
            results[number] = function(*each)
        except Exception as error:
            complain(error)

    started = [engine.spawn(call, number, each) for number, each in enumerate(arguments)]
    engine.joinall(started, timeout=LIMIT_S)
    late = sum(not each.dead for each in started)
    engine.killall(started)
    if late:
        complaints.append(f"{late} calls of {function.__qualname__} take more than {LIMIT_S} s")
    return results


# ---- a storm ----


class Struck(engine.Timeout):
    """The time of a question is over."""


class Storm:
    """Tasks that ask, and one that kills them; who closes what they leave is not killed."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.random = random.Random(seed)
        self.numbers = itertools.count(1)
        self.counts: Counter[str] = Counter()
        self.workers: list[Any] = []
        self.closers: list[Any] = []

    def run(self) -> None:
        self.workers = [engine.spawn(self.work) for _ in range(self.client.storm)]
        killer = engine.spawn(self.kill_some)
        deadline = time.monotonic() + LIMIT_S
        for each in self.everybody(killer):
            each.join(max(0.0, deadline - time.monotonic()))
        alive = [each for each in self.everybody(killer) if not each.dead]
        complaints.extend(f"still busy after {LIMIT_S} s: {each!r:.300}" for each in alive)
        engine.killall(alive, timeout=LIMIT_S)
        print(", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())))
        none = {"answered", "struck", "killed"} - set(self.counts)
        complaints.extend(f"none was {name}" for name in none)

    def everybody(self, killer: Any) -> Iterator[Any]:
        """In this order: who is joined may have started others meanwhile."""
        yield killer
        yield from self.workers
        yield from self.closers

    def kill_some(self) -> None:
        for _ in range(KILLS * self.client.storm):
            engine.sleep(self.random.uniform(0, 2 * self.client.delay_s))
            alive = [each for each in self.workers if not each.dead]
            if not alive:
                break
            victim = self.random.choice(alive)
            self.workers.append(engine.spawn(self.work))
            victim.kill(block=False)

    def work(self) -> None:
        connection = None
        try:
            for _ in range(QUESTIONS):
                connection = self.ask(connection)
            self.start(self.client.close, connection)
        except engine.GreenletExit:
            self.counts["killed"] += 1
        except Exception as error:
            complain(error)

    def ask(self, connection: Any) -> Any:
        """Ask one question; what is to be asked by next."""
        delay_s = self.random.uniform(0, self.client.delay_s)
        limit_s = self.random.choice((None, self.random.uniform(0, 2 * self.client.delay_s)))
        number = next(self.numbers)
        try:
            with Struck(limit_s):
                if connection is None:
                    connection = self.connect()
                answer = self.client.ask(connection, Question(number, delay_s))
        except (Struck, *self.client.limits) as error:
            self.counts["struck" if isinstance(error, Struck) else "limited by the library"] += 1
            self.start(self.client.drop, connection)
            return None
        except BaseException:
            self.start(self.client.drop, connection)
            raise
        self.counts["answered"] += 1
        if answer != number:
            complaints.append(f"question {number}: the answer to {answer}")
        return connection

    def connect(self) -> Any:
        has_limit = self.client.limits and self.random.random() < 0.3
        return self.client.connect(
            self.random.uniform(0.005, 2 * self.client.delay_s) if has_limit else None
        )

    def start(self, function: Any, connection: Any) -> None:
        """Close or drop it, in a task."""

        def call() -> None:
            try:
                function(connection)
            except Exception as error:
                complain(error)

        if connection is not None:
            self.closers.append(engine.spawn(call))


# ---- one of them ----


def make_client(name: str, place: Place) -> Client:
    module, _, kind = name.partition(".")
    made = getattr(importlib.import_module(f"tests.clients.{module}"), kind)(place)
    assert isinstance(made, Client)
    return made


def main() -> None:
    faulthandler.enable()
    faulthandler.dump_traceback_later(2.5 * LIMIT_S, exit=True)
    name, trial, seed, place = sys.argv[1:5]
    print(f"{name}, {trial}, seed {seed}", flush=True)
    client = make_client(name, Place(**json.loads(place)))
    first = client.connect()  # libraries open files, and start threads, when they are first used
    if client.ask(first, Question(7)) != 7:
        complaints.append("the very first answer is wrong")
    client.close(first)
    client.end()
    belongings = Belongings(client.place)
    client = make_client(name, client.place)
    crowd(client) if trial == "crowd" else Storm(client, int(seed)).run()
    client.end()
    del client
    belongings.complain()
    print("\n".join(complaints[:30]) or "all well", flush=True)
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
