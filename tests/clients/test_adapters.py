"""fibril.contrib: programs that run other people's code, with workers of fibril's.

They come with `make clients`. Each program is started as its users start it.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.adapted import TOGETHER
from tests.clients.servers import Missing, Park
from tests.clients.test_clients import miss

TOP = Path(__file__).parents[2]
LIMIT_S = 60

pytestmark = [pytest.mark.clients, pytest.mark.timeout(200)]

pytest.importorskip("gunicorn", reason="gunicorn comes with make clients")
pytest.importorskip("celery", reason="celery comes with make clients")


@contextmanager
def running(*command: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A program, and the file with all that it has said."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w", encoding="utf-8") as out:
            program = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=TOP,
                env={**os.environ, **more},
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            yield program, log
        except BaseException:
            print(log.read_text(encoding="utf-8"))
            raise
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


# ---- gunicorn ----


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def first_answer(port: int) -> str:
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            return get(port, "/pid")[1]
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextmanager
def gunicorn(*options: str) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    port = free_port()
    worker = "fibril.contrib.gunicorn.FibrilWorker"
    command = ("gunicorn", "-k", worker, "-b", f"127.0.0.1:{port}", "--no-control-socket")
    with running(*command, *options, "tests.clients.adapted:application") as (program, log):
        first_answer(port)
        yield program, port, log


def all_together(port: int) -> list[tuple[int, str]]:
    with ThreadPoolExecutor(TOGETHER) as threads:
        return list(threads.map(lambda _: get(port, "/meet"), range(TOGETHER)))


@pytest.mark.parametrize("more", [(), ("--preload",)], ids=["usual", "preload"])
def test_gunicorn_serves_many_at_once_and_ends_when_told(more: tuple[str, ...]) -> None:
    with gunicorn(*more) as (program, port, log):
        answers = all_together(port)
        assert {status for status, _ in answers} == {200}
        assert len({worker for _, worker in answers}) == 1
        program.send_signal(signal.SIGTERM)
        assert program.wait(LIMIT_S) == 0
        assert "Traceback" not in log.read_text(encoding="utf-8")


def test_gunicorn_finishes_what_it_has_begun() -> None:
    with gunicorn("--graceful-timeout", "30") as (program, port, _):
        with ThreadPoolExecutor(TOGETHER) as threads:
            early = [threads.submit(get, port, "/meet") for _ in range(TOGETHER - 1)]
            late = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
            late.connect()
            end = time.monotonic() + LIMIT_S
            while get(port, "/count") != (200, str(TOGETHER - 1)):
                assert time.monotonic() < end
                time.sleep(0.05)
            program.send_signal(signal.SIGTERM)
            late.request("GET", "/meet")
            assert late.getresponse().status == 200
            assert {answer.result(LIMIT_S)[0] for answer in early} == {200}
        late.close()
        assert program.wait(LIMIT_S) == 0


def test_gunicorn_replaces_a_worker_after_so_many_requests() -> None:
    with gunicorn("--max-requests", "5") as (program, port, _):
        workers = set()
        for _ in range(12):
            workers.add(first_answer(port))
        assert len(workers) >= 2
        program.send_signal(signal.SIGQUIT)
        assert program.wait(LIMIT_S) == 0


# ---- celery ----


@pytest.fixture(scope="module")
def broker(park: Park) -> str:
    try:
        return f"redis://127.0.0.1:{park.place('redis', False).port}/0"
    except Missing as missing:
        miss(str(missing))


@contextmanager
def worker(broker: str, *options: str) -> Iterator[tuple[Any, subprocess.Popen[str], Path]]:
    """Celery's application, its worker, and what that says."""
    from tests.clients import adapted

    os.environ["BROKER"] = broker
    app = adapted.celery_app()
    app.control.purge()
    environment = {"CELERY_CUSTOM_WORKER_POOL": "fibril.contrib.celery:TaskPool", "BROKER": broker}
    command = ("celery", "-A", "tests.clients.adapted", "worker", "-P", "custom", "-l", "info")
    with running(*command, *options, **environment) as (program, log):
        end = time.monotonic() + LIMIT_S
        while "ready." not in log.read_text(encoding="utf-8"):
            assert program.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        yield app, program, log


def test_celery_runs_many_at_once_each_with_its_result(broker: str) -> None:
    with worker(broker, "-c", str(TOGETHER)) as (app, _, _):
        results = [app.send_task("meet", (number,)) for number in range(TOGETHER)]
        assert [result.get(LIMIT_S) for result in results] == list(range(TOGETHER))


def test_celery_ends_who_is_late_or_revoked(broker: str) -> None:
    from celery.exceptions import TaskRevokedError, TimeLimitExceeded

    with worker(broker, "-c", "10") as (app, _, log):
        late = app.send_task("forever")
        with pytest.raises(TimeLimitExceeded):
            late.get(LIMIT_S)
        revoked = app.send_task("wait")
        end = time.monotonic() + LIMIT_S
        while f"Task wait[{revoked.id}] received" not in log.read_text(encoding="utf-8"):
            assert time.monotonic() < end
            time.sleep(0.1)
        revoked.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            revoked.get(LIMIT_S)
        assert app.send_task("nap", (0, 5)).get(LIMIT_S) == 5


def test_celery_grows_and_shrinks(broker: str) -> None:
    with worker(broker, "-c", "2") as (app, _, _):
        control = app.control
        assert "pool will grow" in str(control.pool_grow(TOGETHER - 2, reply=True, timeout=10))
        results = [app.send_task("meet", (number,)) for number in range(TOGETHER)]
        assert [result.get(LIMIT_S) for result in results] == list(range(TOGETHER))
        assert "pool will shrink" in str(control.pool_shrink(TOGETHER - 1, reply=True, timeout=10))
        (stats,) = control.inspect(timeout=10).stats().values()
        assert stats["pool"]["max-concurrency"] == stats["pool"]["free-threads"] == 1
        assert app.send_task("nap", (0, 5)).get(LIMIT_S) == 5


def test_a_warm_shutdown_loses_nothing(broker: str) -> None:
    with worker(broker, "-c", "20") as (app, program, log):
        results = [app.send_task("nap", (1, number)) for number in range(20)]
        end = time.monotonic() + LIMIT_S
        while log.read_text(encoding="utf-8").count("received") < 20:
            assert time.monotonic() < end
            time.sleep(0.05)
        program.send_signal(signal.SIGTERM)
        assert program.wait(LIMIT_S) == 0
        assert [result.get(LIMIT_S) for result in results] == list(range(20))
        assert "Traceback" not in log.read_text(encoding="utf-8")
