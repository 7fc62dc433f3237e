"""Log records of patched programs, each in a fresh interpreter: which task and thread made them."""

import sys
import textwrap

from tests.conftest import Interpreter

# A program that notes of each record its message, thread and task, and prints what it noted.
LOG = """
import logging, sys
class Noting(logging.Handler):
    def emit(self, record):
        noted.append((record.msg, record.threadName, getattr(record, "taskName", "missing")))
noted = []
logging.getLogger().addHandler(Noting())
log = logging.warning

def tell():
    for each in sorted(noted):
        print(*each)
"""


def out(interpreter: Interpreter, program: str, before: str = "") -> list[str]:
    """The lines that a program prints; `before` runs before the patch."""
    parts = [before, "from fibril import monkey\nmonkey.patch_all()\nimport fibril\n", LOG, program]
    return interpreter.out("".join(map(textwrap.dedent, parts))).splitlines()


def test_a_record_names_its_task_and_its_thread(interpreter: Interpreter) -> None:
    lines = out(
        interpreter,
        """
        import threading
        thread = threading.Thread(target=log, args=("thread",), name="mine")
        thread.start(), thread.join()
        task = fibril.Task(log, "task")
        task.name = "reader"
        task.start(), task.join()
        log("main")
        fibril.Fiber(log).switch("fiber")
        fibril.get_hub().call_soon(log, "hub")
        fibril.sleep(0.01)
        fibril.offload(log, "pool")
        fibril.offload(log, "pool")
        tell()
        """,
    )
    said = [line.split(" ") for line in lines]
    assert [(who, task.rstrip("0123456789")) for who, _, task in said] == [
        ("fiber", "None"),
        ("hub", "None"),
        ("main", "None"),
        ("pool", "None"),
        ("pool", "None"),
        ("task", "reader"),
        ("thread", "Task-"),
    ]
    threads = {who: thread for who, thread, _ in said}
    assert (threads["main"], threads["thread"]) == ("MainThread", "mine")
    assert len(set(threads.values())) == 6


def test_the_task_of_a_loop_goes_before_the_task_that_runs_the_loop(
    interpreter: Interpreter,
) -> None:
    lines = out(
        interpreter,
        """
        import asyncio, time

        async def work():
            asyncio.current_task().set_name("asyncio's")
            log("1 in the loop")
            fibril.spawn(log, "2 beside it")
            fibril.get_hub().call_soon(log, "3 in the hub")
            time.sleep(0.01)  # it keeps the loop, not the thread
            log("4 in the loop")

        def run():
            with asyncio.Runner() as runner:
                log("0 before it")
                runner.run(work())
                log("5 after it")

        task = fibril.spawn(run)
        fibril.sleep(0)
        log("6 in the main fiber")
        task.join()
        tell()
        """,
    )
    names = [line.partition(" ")[0] + " " + line.rpartition(" ")[2] for line in lines]
    assert [name.replace("Task-1", "Task-0") for name in names] == [
        "0 Task-0",
        "1 asyncio's",
        "2 Task-0",
        "3 None",
        "4 asyncio's",
        "5 Task-0",
        "6 None",
    ]


def test_what_logging_shall_not_note_is_not_noted(interpreter: Interpreter) -> None:
    lines = out(
        interpreter,
        """
        logging.logAsyncioTasks = False
        fibril.spawn(log, "no task").join()
        logging.logAsyncioTasks, logging.logThreads = True, False
        fibril.spawn(log, "no thread").join()
        tell()
        """,
    )
    assert lines[0].endswith(" None")
    assert "Dummy" in lines[0]
    assert lines[1].startswith("no thread None Task-")


def test_records_of_every_class_and_factory_have_it(interpreter: Interpreter) -> None:
    lines = out(
        interpreter,
        """
        class Newer(logging.LogRecord):
            pass

        for factory in (Older, Newer, made_before, logging.LogRecord):
            logging.setLogRecordFactory(factory)
            fibril.spawn(log, getattr(factory, "__name__", "?")).join()
        copied = fibril.spawn(logging.makeLogRecord, {"taskName": "elsewhere"}).get()
        print(type(copied).__name__, copied.taskName)
        called = dict(name="n", level=10, pathname="", lineno=1, msg="", args=(), exc_info=None)
        print(fibril.spawn(lambda: logging.LogRecord(**called, more=1).taskName[:5]).get())
        tell()
        """,
        before="""
        import logging
        class Older(logging.LogRecord):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.mine = 1
        def made_before(*args, factory=logging.getLogRecordFactory(), **kwargs):
            return factory(*args, **kwargs)
        """,
    )
    assert lines[:2] == ["LogRecord elsewhere", "Task-"]
    assert [(line.split()[0], line.split()[2][:5]) for line in lines[2:]] == [
        (name, "Task-") for name in ("LogRecord", "Newer", "Older", "made_before")
    ]


def test_without_the_patch_records_are_what_they_were(interpreter: Interpreter) -> None:
    program = """
    import fibril, fibril.monkey
    fibril.monkey.patch_all(thread=False)
    fibril.spawn(log, "task").join()
    tell()
    """
    expected = "None" if sys.version_info >= (3, 12) else "missing"
    assert interpreter.out(LOG + textwrap.dedent(program)) == f"task MainThread {expected}\n"
