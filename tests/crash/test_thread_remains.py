"""What remains of an ended native thread, in the hands of another: its hub, tasks, watchers. All of
it may be asked anything: that is answered or refused, and touches nothing that has been freed."""

import pytest

from tests.conftest import Interpreter

BEGIN = """
    import gc, sys, threading, fibril
    import fibril.event, fibril.pool
    from fibril import Timeout

    remains = {}

    def work():
        hub = fibril.get_hub()
        loop = hub.loop
        main = fibril.getcurrent()
        task = fibril.spawn(int)
        task.join()
        left = fibril.Fiber(lambda: main.switch())
        left.switch()
        remains.update(
            hub=hub, loop=loop, main=main, task=task, left=left,
            parked=fibril.spawn(fibril.sleep, 100),
            unstarted_task=fibril.Task(int), unstarted=fibril.Fiber(int),
            timer=loop.timer(0.01), started=loop.timer(5), watcher=loop.io(0, 1),
            told=loop.async_(), timeout=Timeout(5), callback=loop.run_callback(int),
            event=fibril.event.Event(), result=fibril.event.AsyncResult(),
            pool=fibril.pool.Pool(2), group=fibril.pool.Group(), threadpool=hub.threadpool,
        )
        remains["timeout"].start()
        remains["started"].start(int)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    # Whatever the thread's fibers were made of belongs to others now.
    others = [fibril.Fiber(int) for _ in range(300)]
"""

# Each attribute of one of them is read and called with all kinds of arguments, and then set.
SWEEP = """
    sys.stderr = open(os.devnull, "w")  # tasks that fail are told there
    ARGUMENTS = ((), (repr,), (1,), (0.01, repr), (fibril.getcurrent(),), (None,))
    LEFT_OUT = {  # what ends this process, or makes another one
        "end_process", "handle_system_error", "fork",
        "__class__", "__reduce__", "__reduce_ex__", "__init_subclass__", "__new__",
    }
    asked = 0

    def ask(one, name):
        global asked
        for arguments in ARGUMENTS:
            try:
                with Timeout(0.02, False):
                    value = getattr(one, name)
                    asked += 1
                    if not callable(value) or isinstance(value, type):
                        return
                    value(*arguments)
            except BaseException:
                pass
            fibril.spawn(int).join()

    one = remains.pop(NAME)
    remains.clear()
    for name in sorted(set(dir(one)) - LEFT_OUT):
        ask(one, name)
        gc.collect()
        try:
            setattr(one, name, None)
        except BaseException:
            pass
    del one
    gc.collect()
    fibril.sleep(0.01)
    print(asked > 30, fibril.spawn(pow, 2, 3).get())
"""

KINDS = (
    "hub", "loop", "main", "task", "left", "parked", "unstarted_task", "unstarted", "timer",
    "started", "watcher", "told", "timeout", "callback", "event", "result", "pool", "group",
    "threadpool",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_may_be_asked_anything(kind: str, interpreter: Interpreter) -> None:
    program = "    import os" + BEGIN + SWEEP.replace("NAME", repr(kind))
    assert interpreter.out(program) == "True 8\n"


def test_its_hub_answers_that_it_has_ended(interpreter: Interpreter) -> None:
    out = interpreter.out(
        BEGIN
        + """
    hub = remains["hub"]
    assert hub.main is remains["main"]
    for act in (
        lambda: hub.current, lambda: hub.throw(ValueError), hub.fileno,
        lambda: hub.call_soon(print), lambda: remains["timer"].start(print),
    ):
        try:
            act()
        except fibril.FiberError as error:
            print(str(error).rpartition(": ")[2])
    """
    )
    assert out == "the hub's thread has ended.\n" * 4 + "the thread of its hub has ended.\n"


def test_what_is_linked_to_its_tasks_is_called_by_who_links_it(interpreter: Interpreter) -> None:
    out = interpreter.out(
        BEGIN
        + """
    task = remains["task"]
    for link in (task.rawlink, task.link, task.link_value):
        link(lambda ended: print(ended is task, threading.current_thread() is not thread))
    print(task.parent is fibril.get_hub(), task.loop is fibril.get_hub().loop)
    fibril.sleep(0.01)
    gc.collect()
    """
    )
    assert out == "True True\n" * 4


# The dict of its thread state tells of a thread's end when CPython drops it, unless somebody holds
# it: by a list of all objects, as debuggers and finders of leaks make one.
HOLD = """
    import contextvars, gc, fibril
    from fibril import native

    held = []
    variable = contextvars.ContextVar("variable")

    class Late:
        def __del__(self):  # when the state is cleared, its dict is not its own any more
            late()

    def work():
        fibril.sleep(0)
        variable.set(Late())
        held.extend(each for each in gc.get_objects() if type(each).__name__ == "ThreadDict")
        ended.release()

    def end():
        native.start_new_thread(work, ())
        ended.acquire()
        threads = fibril._core.thread_count
        for _ in range(20_000):
            if threads() == 1:
                break
            native.sleep(0.001)
        return threads()

    fibril.sleep(0)
    ended, dropped = native.allocate_lock(), native.allocate_lock()
    ended.acquire(), dropped.acquire()
"""


def test_a_dict_that_somebody_holds_stays_his(interpreter: Interpreter) -> None:
    out = interpreter.out(
        HOLD
        + """
    def late(): pass

    for _ in range(3):
        print(end())
        held.clear()
        gc.collect()
    """
    )
    assert out == "1\n" * 3


def test_who_drops_the_last_reference_elsewhere_leaves_the_thread_to_itself(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        HOLD
        + """
    def late():
        may_drop.release()
        dropped.acquire()

    may_drop = native.allocate_lock()
    may_drop.acquire()

    def drop():
        fibril.sleep(0)
        may_drop.acquire()
        held.clear()
        dropped.release()

    for _ in range(3):
        native.start_new_thread(work, ())
        ended.acquire()
        drop()
        for _ in range(20_000):
            if fibril._core.thread_count() == 1:
                break
            native.sleep(0.001)
        print(fibril._core.thread_count())
        gc.collect()
    """
    )
    assert out == "1\n" * 3
