"""Monkey patching, each in a fresh interpreter: in place, in any order, and nothing pretended."""

from pathlib import Path

import pytest

from tests.conftest import Interpreter

PATCH = "from fibril import monkey; monkey.patch_all()\n"
# How many of one other task run while `wait` waits.
OTHERS = """
import fibril
from fibril import monkey

def others(wait):
    ran = []
    fibril.spawn(ran.append, 1)
    wait()
    return len(ran)
"""


def program(*parts: str) -> str:
    """Several indented pieces as one program."""
    import textwrap

    return "".join(textwrap.dedent(part) for part in parts)


def test_importing_fibril_patches_nothing(interpreter: Interpreter) -> None:
    text = """
        import _thread, queue, select, socket, ssl, threading, time
        modules = [_thread, queue, select, socket, ssl, threading, time]
        classes = [socket.socket, ssl.SSLSocket, threading.Thread, threading._DummyThread]
        before = [dict(vars(each)) for each in modules + classes]
        import fibril.cli, fibril.monkey, fibril.socket, fibril.ssl, fibril.thread
        print([dict(vars(each)) for each in modules + classes] == before)
        print(fibril.monkey.is_anything_patched(), fibril.monkey.saved)
        """
    assert interpreter.out(text) == "True\nFalse {}\n"


def test_parts_may_be_chosen_by_position(interpreter: Interpreter) -> None:
    text = """
        from fibril import monkey
        print(monkey.patch_all(False, False, True, False, False, False, False, False))
        print([name for name in ("socket", "time", "select") if monkey.is_module_patched(name)])
        monkey.patch_thread(True, True, False, True)
        print(monkey.is_object_patched("threading", "local"))
        """
    assert interpreter.out(text) == "True\n['time']\nTrue\n"


def test_everything_that_waits_lets_others_run(interpreter: Interpreter) -> None:
    text = """
        monkey.patch_all()
        import concurrent.futures, os, queue, select, selectors, socket, threading, time

        def late(call, *args):
            return fibril.spawn_later(0.01, call, *args)

        left, right = socket.socketpair()
        lock, event, condition = threading.Lock(), threading.Event(), threading.Condition()
        rlock, simple, full = threading.RLock(), queue.SimpleQueue(), queue.Queue(1)
        lock.acquire(), full.put(1)
        fibril.spawn(rlock.acquire).join()
        poller, epoll = select.poll(), select.epoll()
        for each in (poller, epoll):
            each.register(right, select.POLLIN)
        selector = selectors.DefaultSelector()
        selector.register(right, selectors.EVENT_READ)
        pool = concurrent.futures.ThreadPoolExecutor(2)

        def wait_condition():
            with condition:
                condition.wait(0.01)

        waits = {
            "sleep": lambda: time.sleep(0.01),
            "select": lambda: (late(left.send, b"x"), select.select([right], [], [])),
            "poll": lambda: poller.poll(),
            "epoll": lambda: epoll.poll(),
            "selector": lambda: selector.select(),
            "recv": lambda: (right.recv(1), late(left.send, b"x"), right.recv(1)),
            "lock": lambda: (late(lock.release), lock.acquire()),
            "rlock": lambda: rlock.acquire(timeout=0.01),
            "event": lambda: (late(event.set), event.wait()),
            "condition": wait_condition,
            "thread": lambda: join(threading.Thread(target=time.sleep, args=(0.01,))),
            "simple": lambda: (late(simple.put, 1), simple.get()),
            "queue": lambda: (late(full.get), full.put(2)),
            "pool": lambda: pool.submit(time.sleep, 0.01).result(),
            "map": lambda: list(pool.map(time.sleep, [0.01] * 4)),
            "lookup": lambda: socket.getaddrinfo("localhost", 80),
            "barrier": lambda: barrier(threading.Barrier(2)),
            "timer": lambda: join(threading.Timer(0.01, int)),
        }

        def join(thread):
            thread.start()
            thread.join()
            assert not thread.is_alive()

        def barrier(barrier):
            late(barrier.wait)
            barrier.wait()

        for name, wait in waits.items():
            print(name, others(wait))
        """
    lines = interpreter.out(program(OTHERS, text)).splitlines()
    assert len(lines) == 18
    assert [line for line in lines if not line.endswith(" 1")] == []


def test_classes_stay_the_standard_librarys(interpreter: Interpreter) -> None:
    text = """
        import queue, socket, ssl, threading
        from socket import socket as early
        classes = [socket.socket, ssl.SSLSocket, ssl.SSLContext, threading.Thread, queue.Queue,
                   threading.Condition, threading.Event, threading.Timer, queue.LifoQueue]
        class Mine(socket.socket):
            pass
        from fibril import monkey
        monkey.patch_all()
        print([socket.socket, ssl.SSLSocket, ssl.SSLContext, threading.Thread, queue.Queue,
               threading.Condition, threading.Event, threading.Timer, queue.LifoQueue] == classes)
        import fibril
        for cls in (early, Mine):
            left, right = cls(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, 2)
            right.bind(b"\\0fibril-test-" + str(id(left)).encode())
            fibril.spawn_later(0.001, left.sendto, b"x", right.getsockname())
            print(right.recv(1), isinstance(left, socket.socket))
        print(queue.Queue[int], queue.SimpleQueue[int])
        """
    assert interpreter.out(text).splitlines() == [
        "True",
        "b'x' True",
        "b'x' True",
        "queue.Queue[int] fibril.monkey.simple_queue.SimpleQueue[int]",
    ]


def test_what_was_imported_by_name_before_is_rebound(interpreter: Interpreter) -> None:
    Path(interpreter.folder, "library.py").write_text(
        "from select import select\n"
        "from socket import getaddrinfo as lookup\n"
        "from threading import Lock, RLock, get_ident, local\n"
        "from time import sleep, time\n"
        "from queue import SimpleQueue\n",
        encoding="utf-8",
    )
    text = """
        import _thread, library, queue, select, socket, threading, time
        clock = library.time
        from fibril import monkey
        monkey.patch_all()
        print(library.select is select.select, library.sleep is time.sleep,
              library.lookup is socket.getaddrinfo, library.Lock is threading.Lock,
              library.get_ident is threading.get_ident, library.local is threading.local,
              library.SimpleQueue is queue.SimpleQueue, library.time is clock)
        print(type(library.RLock()), _thread.allocate_lock().acquire())
        """
    lines = interpreter.out(text).splitlines()
    assert lines == [
        "True True True True True True True True",
        "<class 'fibril.thread.RLock'> True",
    ]


def test_what_cannot_be_rebound_is_named_in_a_warning(interpreter: Interpreter) -> None:
    Path(interpreter.folder, "library.py").write_text(
        "import threading, time\n"
        "class Mine(threading.local): pass\n"
        "class Other:\n    wait = time.sleep\n",
        encoding="utf-8",
    )
    done = interpreter.run("import library\n" + PATCH + "print('goes on')\n")
    assert done.out == "goes on\n"
    assert "program.py:2: MonkeyPatchWarning" in done.err
    assert "library.Mine (a subclass of _local), library.Other.wait: imported before" in done.err


def test_patching_again_changes_nothing(interpreter: Interpreter) -> None:
    text = """
        import socket, threading, time
        from fibril import monkey
        print(monkey.patch_socket(), monkey.patch_all(), monkey.patch_all(), monkey.patch_socket())
        before = time.sleep, socket.socket.recv, threading.Lock, dict(monkey.saved["time"])
        monkey.patch_all(), monkey.patch_time(), monkey.patch_thread(), monkey.patch_dns()
        print(before == (time.sleep, socket.socket.recv, threading.Lock, monkey.saved["time"]))
        """
    assert interpreter.out(text) == "True True None None\nTrue\n"


ALL_BUT_SELECT = ["os", "signal", "subprocess", "time", "socket", "thread", "queue", "ssl"]


@pytest.mark.parametrize(
    ("call", "patched"),
    [
        ("patch_time()", {"time"}),
        ("patch_dns()", {"socket"}),
        ("patch_ssl()", {"ssl"}),
        ("patch_select()", {"select", "selectors"}),
        ("patch_socket(dns=False)", {"socket"}),
        ("patch_os()", {"os"}),
        ("patch_signal()", {"signal"}),
        ("patch_subprocess()", {"subprocess"}),
        (
            "patch_all(thread=0, select=0, ssl=0, queue=0)",
            {"os", "signal", "socket", "subprocess", "time"},
        ),
        (
            f"patch_all(sys=1, {', '.join(f'{name}=0' for name in ALL_BUT_SELECT)})",
            {"select", "selectors"},
        ),
    ],
)
def test_each_function_patches_its_modules(
    interpreter: Interpreter, call: str, patched: set[str]
) -> None:
    names = ["_thread", "os", "queue", "select", "selectors", "signal", "socket", "ssl"]
    names += ["subprocess", "threading", "time"]
    text = f"""
        from fibril import monkey
        monkey.{call}
        print([name for name in {names} if monkey.is_module_patched(name)])
        """
    assert set(eval(interpreter.out(text))) == patched


def test_an_original_that_is_kept_under_a_name_that_says_so_stays(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import select, threading, time
        real_sleep = _orig_sleep = sleep_original = time.sleep
        nativeAllocateLock = UNPATCHED_LOCK = threading.Lock
        sleep = _sleep = time_sleep = surreal = time.sleep
        before = time.sleep, threading.Lock
        from fibril import monkey
        monkey.patch_all()
        print({real_sleep, _orig_sleep, sleep_original} == {before[0]})
        print({nativeAllocateLock, UNPATCHED_LOCK} == {before[1]})
        print({sleep, _sleep, time_sleep, surreal} == {time.sleep})
    """)
    assert out == "True\nTrue\nTrue\n"


def test_originals_can_be_had(interpreter: Interpreter) -> None:
    text = """
        import socket, time, _thread
        before = time.sleep, _thread.get_ident
        from fibril import monkey
        monkey.patch_all()
        print(monkey.get_original("time", "sleep") is before[0],
              monkey.get_original(["no such module", "threading"], "get_ident") is before[1],
              monkey.get_original("time", ["sleep", "time"]) == [before[0], time.time],
              monkey.get_original("math", "pi"))
        native = monkey.get_original("socket", "socket")
        print(issubclass(native, socket.socket), native is monkey.get_original("socket", "socket"))
        print(native.recv, monkey.is_object_patched("socket", "socket"))
        print(monkey.is_object_patched("socket", "AF_INET"), monkey.is_object_patched("math", "pi"))
        with native() as sock:
            sock.settimeout(0.001)
            sock.bind(("127.0.0.1", 0)), sock.listen()
            try:
                sock.accept()
            except TimeoutError as error:
                print(error)
        """
    assert interpreter.out(text).splitlines() == [
        "True True True 3.141592653589793",
        "True True",
        "<method 'recv' of '_socket.socket' objects> True",
        "False False",
        "timed out",
    ]


def test_patch_item_keeps_the_original(interpreter: Interpreter) -> None:
    text = """
        import math
        from fibril import monkey
        monkey.patch_item(math, "pi", 3)
        print(math.pi, monkey.get_original("math", "pi"), monkey.is_module_patched("math"))
        """
    assert interpreter.out(text) == "3 3.141592653589793 True\n"


def test_patch_item_has_no_original_for_a_name_that_was_not_there(interpreter: Interpreter) -> None:
    text = """
        import math
        from fibril import monkey
        monkey.patch_item(math, "triple", lambda number: 3 * number)
        print(math.triple(2), monkey.get_original("math", "triple")(3))
        print(monkey.is_module_patched("math"))
        """
    assert interpreter.out(text) == "6 9\nFalse\n"


def test_a_module_is_patched_from_another_and_a_name_is_removed(interpreter: Interpreter) -> None:
    text = """
        import math, types
        from fibril import monkey
        source = types.ModuleType("source")
        source.pi, source.e, source.tau = 3, 2, 6
        try:
            monkey.patch_module(math, source)
        except AttributeError as error:
            print("__implements__" in str(error), monkey.is_anything_patched())
        source.__implements__ = ["pi", "e"]
        print(monkey.patch_module(math, source), math.pi, math.e, math.tau > 6.2)
        def will(target, names, warn):
            print("will", target.__name__, names, math.tau > 6.2)
            names.append("pi")
        source._gevent_will_monkey_patch = will
        source._gevent_did_monkey_patch = lambda target, names, warn: print("did", names, math.tau)
        source.pi = 4
        print(monkey.patch_module(math, source, ["tau"]), math.pi)
        print(monkey.get_original("math", ["pi", "tau"]))
        del source._gevent_will_monkey_patch, source._gevent_did_monkey_patch
        try:
            monkey.patch_module(math, source, ["inf", "no_such"])
        except AttributeError:
            print(math.inf)
        monkey.remove_item(math, "e")
        monkey.remove_item(math, "e")
        print(hasattr(math, "e"), monkey.get_original("math", "e"))
        print(monkey.patch_builtins(), monkey.patch_contextvars(), monkey.patch_sys(stdin=False))
        """
    assert interpreter.out(text).splitlines() == [
        "True False",
        "True 3 2 True",
        "will math ['tau'] True",
        "did ['tau', 'pi'] 6",
        "True 4",
        "[3.141592653589793, 6.283185307179586]",
        "inf",
        "False 2.718281828459045",
        "None None None",
    ]


def test_sleep_refuses_what_the_standard_librarys_refuses(interpreter: Interpreter) -> None:
    text = """
        import time
        from fibril import monkey
        from fibril.testing import SimClock
        natural = time.sleep
        monkey.patch_time()
        for value in (-1, float("nan"), "1", None, 1e100, [], 1j, -0.1):
            outcomes = []
            for sleep in (natural, time.sleep):
                try:
                    sleep(value)
                except Exception as error:
                    outcomes.append((type(error), str(error).replace("_PyTime_t", "PyTime_t")))
            assert len(outcomes) == 2 and outcomes[0] == outcomes[1], (value, outcomes)
        with SimClock() as clock:
            for value in (0, True, 0.0, 1e-9):
                assert time.sleep(value) is None
            print(clock.now())
        """
    assert interpreter.out(text) == "1.000000001\n"


def test_threads_are_tasks_with_names_locals_and_ends(interpreter: Interpreter) -> None:
    text = """
        from fibril import monkey
        monkey.patch_all()
        import threading, _thread, fibril
        mine = threading.local()
        seen = {}

        def work(number):
            mine.number = number
            fibril.sleep(0)
            thread = threading.current_thread()
            seen[thread.name] = (mine.number, thread.ident == threading.get_ident(),
                                 threading.get_native_id() == main_native)

        main_native = threading.get_native_id()
        main_ident = threading.get_ident()
        threads = [threading.Thread(target=work, args=(n,), name=f"t{n}") for n in range(3)]
        for thread in threads:
            thread.start()
            assert thread.is_alive() and thread in threading.enumerate()
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        print(seen)
        print(threading.active_count(), threading.main_thread() is threading.current_thread())
        print(main_ident == monkey.get_original("_thread", "get_ident")() == threading.get_ident())
        thread = threading.Thread(target=fibril.sleep, args=(60,), daemon=True)
        thread.start()
        thread.join(0.001)
        print(thread.is_alive(), hasattr(mine, "number"))
        """
    assert interpreter.out(text).splitlines() == [
        "{'t0': (0, True, True), 't1': (1, True, True), 't2': (2, True, True)}",
        "1 True",
        "True",
        "True False",
    ]


def test_several_may_join_a_thread_and_an_interrupted_join_leaves_it(
    interpreter: Interpreter,
) -> None:
    text = """
        from fibril import monkey
        monkey.patch_all()
        import threading, fibril
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait)
        thread.start()
        joiners = [fibril.spawn(thread.join) for _ in range(3)]
        try:
            with fibril.Timeout(0.001):
                thread.join()
        except fibril.Timeout:
            print(thread.is_alive())
        joiners[0].kill()
        print(thread.is_alive())
        gate.set()
        fibril.joinall(joiners, raise_error=True)
        print(thread.is_alive(), threading.active_count())
        """
    assert interpreter.out(text).splitlines() == ["True", "True", "False 1"]


def test_an_error_in_a_thread_goes_to_the_threads_hook(interpreter: Interpreter) -> None:
    text = """
        from fibril import monkey
        monkey.patch_all()
        import threading
        threading.excepthook = lambda args: print(args.exc_type.__name__, args.thread.name)
        thread = threading.Thread(target=lambda: 1 / 0, name="bad")
        thread.start()
        thread.join()
        """
    assert interpreter.out(text) == "ZeroDivisionError bad\n"


def test_the_program_waits_for_its_threads_but_not_for_daemons(interpreter: Interpreter) -> None:
    text = """
        from fibril import monkey
        monkey.patch_all()
        import atexit, threading, time
        atexit.register(print, "exit")

        def work(seconds):
            time.sleep(seconds)
            print("worked")

        threading.Thread(target=work, args=(0.01,)).start()
        threading.Thread(target=work, args=(60,), daemon=True).start()
        threading.Thread(target=lambda: print(threading.main_thread().join())).start()
        print("main ends")
        """
    assert interpreter.out(text).splitlines() == ["main ends", "None", "worked", "exit"]


def test_a_thread_that_is_a_task_does_not_rename_the_native_thread(
    interpreter: Interpreter,
) -> None:
    """From 3.14 on a thread's name is given to the system, too."""
    text = """
        from fibril import monkey
        monkey.patch_all()
        import threading
        names = []

        def work():
            threading.current_thread().name = "later"
            names.append(threading.current_thread().name)
            names.append(open("/proc/self/comm").read().strip())

        before = open("/proc/self/comm").read().strip()
        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
        print(names == ["later", before])
        """
    assert interpreter.out(text) == "True\n"


def test_a_task_that_asks_for_its_thread_leaves_nothing_behind(interpreter: Interpreter) -> None:
    text = """
        from fibril import monkey
        monkey.patch_all()
        import gc, logging, threading, fibril
        logging.basicConfig(format="%(message)s", stream=open("/dev/null", "w"))
        names = set()

        def log():
            names.add(threading.current_thread().name[:5])
            logging.warning("hello")
            assert threading.current_thread().is_alive()

        for _ in range(5):
            fibril.joinall([fibril.spawn(log) for _ in range(20)])
        kept = [fibril.spawn(log)]
        fibril.joinall(kept)
        fibril.Fiber(log).switch()
        gc.collect()
        fibril.sleep(0)  # the hub tells of the last task's end
        print(names, len(threading._active))
        """
    assert interpreter.out(text) == "{'Dummy'} 1\n"


def test_a_lock_that_was_made_for_logging_before_is_renewed(interpreter: Interpreter) -> None:
    text = """
        import concurrent.futures.thread, logging, sys, threading
        handler = logging.StreamHandler(sys.stdout)
        logging.getLogger().addHandler(handler)
        from fibril import monkey
        monkey.patch_all()
        import fibril
        class Slow(logging.Handler):
            def emit(self, record):
                print("begin", record.msg)
                fibril.sleep(0)
                print("end", record.msg)
        logging.getLogger().handlers[:] = [Slow()]
        fibril.joinall([fibril.spawn(logging.warning, n) for n in "ab"])
        kinds = handler.lock, logging._lock, concurrent.futures.thread._global_shutdown_lock
        print(*(type(kind).__module__ for kind in kinds))
        """
    assert interpreter.out(text).splitlines() == [
        "begin a",
        "end a",
        "begin b",
        "end b",
        "fibril.thread fibril.thread fibril.thread",
    ]


def test_an_executor_that_is_imported_before_does_not_hang(interpreter: Interpreter) -> None:
    text = """
        import concurrent.futures.thread
        from fibril import monkey
        monkey.patch_all()
        import time, fibril
        def use(number):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                return sum(pool.map(lambda n: (time.sleep(0.001), n)[1], range(number)))
        tasks = [fibril.spawn(use, n) for n in range(5)]
        print([task.get() for task in tasks])
        """
    assert interpreter.out(text) == "[0, 0, 1, 3, 6]\n"


def test_two_tasks_that_import_the_same_module_both_get_it_whole(interpreter: Interpreter) -> None:
    Path(interpreter.folder, "slow.py").write_text(
        "import time\ntime.sleep(0.01)\nwhole = True\n", encoding="utf-8"
    )
    text = """
        from fibril import monkey
        monkey.patch_all()
        import fibril
        def use():
            import slow
            return slow.whole
        tasks = [fibril.spawn(use) for _ in range(5)]
        print([task.get() for task in tasks])
        """
    assert interpreter.out(text) == "[True, True, True, True, True]\n"


def test_a_fork_in_a_patched_program_has_one_thread(interpreter: Interpreter) -> None:
    text = """
        from fibril import monkey
        monkey.patch_all()
        import os, threading, time
        gate = threading.Event()
        threading.Thread(target=gate.wait).start()
        pid = os.fork()
        if pid == 0:
            thread = threading.Thread(target=print, args=("child", threading.active_count()))
            thread.start()
            thread.join()
        else:
            print("parent", os.waitpid(pid, 0)[1], threading.active_count(), flush=True)
            gate.set()
        """
    out = interpreter.out(text, "-u", "-Wignore::DeprecationWarning")
    assert sorted(out.splitlines()) == ["child 1", "parent 0 2"]


def test_what_gevent_uses_to_see_a_patch_sees_it(interpreter: Interpreter) -> None:
    text = """
        from fibril import compat
        compat.install()
        import gevent.socket, socket
        print(socket.socket is gevent.socket.socket)
        from gevent import monkey
        monkey.patch_all()
        print(socket.socket is gevent.socket.socket, gevent.monkey.is_module_patched("socket"))
        """
    assert interpreter.out(text) == "False\nTrue True\n"


def test_what_tells_threads_apart_and_is_older_than_the_patch_is_named(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import sys, threading, types, warnings
        library = types.ModuleType("library")
        library.state, library.lock = threading.local(), threading.RLock()
        library.plain = threading.Lock()
        sys.modules["library"] = library
        from fibril import monkey
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            monkey.patch_all()
            library.later = threading.local()
            monkey.patch_all()
        print(len(told), str(told[0].message).partition(":")[0], told[0].filename == __file__)
    """)
    assert out == "1 library.lock, library.state True\n"


def test_a_poll_selector_that_is_older_than_the_patch_lets_others_run(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import selectors, socket
        left, right = socket.socketpair()
        selector = selectors.PollSelector()
        selector.register(left, selectors.EVENT_READ, "data")
        selector.register(right, selectors.EVENT_WRITE)
        selector.modify(right, selectors.EVENT_READ)
        from fibril import monkey
        monkey.patch_all()
        import fibril
        ran = []
        fibril.spawn_later(0.01, lambda: (ran.append(1), right.send(b"x")))
        print([(key.data, events) for key, events in selector.select(5)], ran)
        selector.unregister(left)
        print(selector.select(0.001))
    """)
    assert out == "[('data', 1)] [1]\n[]\n"


def test_logging_may_hold_its_locks_while_it_is_patched(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import io, logging, sys
        errors, text = [], io.StringIO()
        class Patching(logging.StreamHandler):
            def emit(self, record):
                from fibril import monkey
                monkey.patch_all()
                super().emit(record)
            def handleError(self, record):
                errors.append(sys.exc_info()[1])
        logging.getLogger().addHandler(Patching(text))
        logging.warning("one")
        logging.warning("two")
        import fibril
        fibril.spawn(logging.warning, "three").join()
        lock = logging._lock
        print(text.getvalue().split(), errors, lock.acquire(False), lock.release())
    """)
    assert out == "['one', 'two', 'three'] [] True None\n"


def test_a_module_that_is_imported_anew_is_patched_as_well(interpreter: Interpreter) -> None:
    text = """
        import sys
        from fibril import monkey
        monkey.patch_all()
        import fibril, queue
        first = queue.SimpleQueue
        for _ in range(2):
            del sys.modules["queue"], sys.modules["_queue"]
            import queue
            items = queue.SimpleQueue()
            task = fibril.spawn(items.get)
            fibril.sleep(0)
            items.put("an item")
            try:
                items.get(timeout=0.001)
            except queue.Empty:
                print(queue.SimpleQueue is first, task.get())
        """
    assert interpreter.out(text) == "True an item\n" * 2
