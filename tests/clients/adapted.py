"""What the workers of test_adapters.py run: a WSGI application and Celery's tasks.

Nothing is timed: who shall be under way together waits until all are.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

TOGETHER = 40
LIMIT_S = 30

_all_here = threading.Event()
_lock = threading.Lock()
_count = 0


def meet() -> bool:
    """Wait until TOGETHER have come; False: they did not."""
    global _count
    with _lock:
        _count += 1
        if _count % TOGETHER == 0:
            _all_here.set()
    return _all_here.wait(LIMIT_S)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """/meet answers when TOGETHER of them are under way; /count how many have come, at once."""
    path = environ["PATH_INFO"]
    is_well = path != "/meet" or meet()
    start_response("200 OK" if is_well else "500 Alone", [("Content-Type", "text/plain")])
    return [b"%d" % (_count if path == "/count" else os.getpid())]


def celery_app() -> Any:
    from celery import Celery

    app = Celery("adapted", broker=os.environ["BROKER"], backend=os.environ["BROKER"])

    @app.task(name="meet")
    def together(number: int) -> int:
        return number if meet() else -1

    @app.task(name="forever", time_limit=1)
    def forever() -> None:
        threading.Event().wait()

    @app.task(name="wait")
    def wait() -> None:
        threading.Event().wait()

    @app.task(name="nap")
    def nap(seconds: float, number: int) -> int:
        threading.Event().wait(seconds)
        return number

    return app


if "BROKER" in os.environ:
    app = celery_app()
