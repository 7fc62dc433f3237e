"""The interpreter around the core: memory that runs out, tracing, signals in storms, odd exits."""

import sys

import pytest

from tests.conftest import Interpreter

# ---- no memory, at every point ----

SWEEP = """
    import _testcapi, faulthandler, sys, fibril
    from contextvars import ContextVar
    from fibril import Fiber, Task, Timeout, getcurrent, get_hub, joinall, kill, sleep, spawn
    from fibril.event import AsyncResult, Event
    from fibril.lock import RLock, Semaphore
    from fibril.queue import Queue
    fibril._core.sim_install()
    variable = ContextVar("variable")
    main = getcurrent()
    sys.unraisablehook = lambda _: None
    sys.stderr = None  # without memory, formatting a traceback crashes CPython 3.12 and 3.13
    variable.set(1)  # the same holds for the first value of a context

    # Functions are made here, not below: making one fails badly in CPython itself.
    def put_three(queue):
        for number in range(3):
            queue.put(number)
    def release(gate):
        sleep(0)
        gate.release()
    def fail():
        1 / 0

    def cycle():
        fiber = Fiber(main.switch)
        fiber.switch()
        fiber.switch()
    def throw():
        fiber = Fiber(main.switch)
        fiber.switch()
        fiber.throw(fibril.GreenletExit("x"))
    def killing():
        task = spawn(sleep, 5)
        sleep(0)
        task.kill()
    def timeout():
        with Timeout(1, False):
            sleep(5)
    def queue():
        queue = Queue(1)
        spawn(put_three, queue)
        return [queue.get(timeout=5), queue.get(timeout=5), queue.get(timeout=5)]
    def gate():
        gate, lock = Semaphore(0), RLock()
        spawn(release, gate)
        gate.acquire(timeout=5)
        with lock:
            pass
    def result():
        result = AsyncResult()
        spawn(result.set, 1)
        result.get(timeout=5)
    def links():
        task = spawn(len, "")
        task.link(repr); task.rawlink(repr)
        task.join(5)
        sleep(0)
    def context():
        spawn(variable.get, 2).join(5)
    def dropping():
        fiber = Fiber(main.switch)
        fiber.switch()
    def callback():
        get_hub().call_soon(repr, 1)
        sleep(0)
    def failing():
        spawn(fail).join(5)
    def look():
        task = spawn(sleep, 1)
        sleep(0)
        task.gr_frame, get_hub().parked(), repr(task), task.name
    def alive():
        return "alive"

    good = 0
    for fail_at in range({first}, {last}):
        _testcapi.set_nomemory(fail_at, {until})
        try:
            {which}()
            good += 1
        except BaseException as error:
            kind = error
        finally:
            _testcapi.remove_mem_hooks()
        kind = None
        try:
            sleep(10)
            assert spawn(alive).get(timeout=10) == "alive"
        except BaseException as error:
            sys.__stdout__.write(f"{fail_at}: {error!r}\\n")
    print(good > 0)
"""

STEPS = [
    "cycle",
    "throw",
    "killing",
    "timeout",
    "queue",
    "gate",
    "result",
    "links",
    "context",
    "dropping",
    "callback",
    "failing",
    "look",
]


@pytest.mark.parametrize("which", STEPS)
@pytest.mark.parametrize("until", ["fail_at + 1", "fail_at + 5"])
def test_memory_that_runs_out_at_any_point_is_survived(
    which: str, until: str, interpreter: Interpreter
) -> None:
    pytest.importorskip("_testcapi")
    program = SWEEP.replace("{which}", which).replace("{until}", until)
    program = program.replace("{first}", "0").replace("{last}", "150")
    done = interpreter.run(program)
    assert done.status == 0, f"{done.out}\n{done.err[-3000:]}"
    assert done.out.split("\n")[-2:] == ["True", ""], done.out


# ---- tracing ----


def test_tracing_follows_each_fiber(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, fibril
        main = fibril.getcurrent()
        events = []
        def trace(frame, event, _):
            if frame.f_code.co_filename == __file__:
                events.append((frame.f_code.co_name, event))
            return trace
        def inner():
            main.switch()
            x = 1
        def outer():
            inner()
        fiber = fibril.Fiber(outer)
        sys.settrace(trace)
        fiber.switch()
        fiber.switch()
        sys.settrace(None)
        print([name for name, event in events if event == "call"])
        print([name for name, event in events if event == "return"])
        print(sum(event == "line" for _, event in events))
    """)
    assert out == "['outer', 'inner']\n['inner', 'outer']\n3\n"


def test_tracing_may_begin_and_end_while_fibers_are_away(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, fibril
        main = fibril.getcurrent()
        lines = []
        def trace(frame, event, _):
            lines.append(frame.f_code.co_name)
            return trace
        def called(): pass
        def work():
            while True:
                main.switch()
                called()
        fibers = [fibril.Fiber(work) for _ in range(3)]
        for fiber in fibers: fiber.switch()
        counts = []
        for is_on in (True, False, True, False):
            sys.settrace(trace if is_on else None)
            for fiber in fibers: fiber.switch()
            sys.settrace(None)
            counts.append(lines.count("called"))
        print(counts[0] == counts[1] > 0, counts[2] == counts[3] == 2 * counts[0])
    """)
    assert out == "True True\n"


def test_a_trace_function_may_switch(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, fibril
        main = fibril.getcurrent()
        visits = []
        def other():
            while True:
                visits.append(1)
                main.switch()
        fiber = fibril.Fiber(other)
        def trace(frame, event, _):
            fiber.switch()
            return trace
        def traced():
            a = 1
            return a
        for _ in range(3):
            sys.settrace(trace)
            traced()
            sys.settrace(None)
        print(len(visits) > 5, traced())
    """)
    assert out == "True 1\n"


def test_profilers_see_every_fiber(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import cProfile, pstats, fibril
        def leaf(): fibril.sleep(0)
        def work():
            for _ in range(10): leaf()
        profile = cProfile.Profile()
        profile.enable()
        fibril.joinall([fibril.spawn(work) for _ in range(5)])
        profile.disable()
        stats = pstats.Stats(profile).stats
        calls = {key[2]: value[1] for key, value in stats.items()}
        print(calls["leaf"], calls["work"])
    """)
    assert out == "50 5\n"


def test_tracemalloc_and_audit_hooks_do_not_mind(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, tracemalloc, fibril
        tracemalloc.start(25)
        seen = []
        sys.addaudithook(lambda name, _: seen.append(name))
        fibril.joinall(fibril.spawn(lambda: [bytearray(1000), fibril.sleep(0)]) for _ in range(50))
        print(len(tracemalloc.take_snapshot().statistics("lineno")) > 0)
    """)
    assert out == "True\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_monitoring_sees_every_fiber(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, fibril
        events = sys.monitoring.events
        seen = []
        sys.monitoring.use_tool_id(2, "test")
        def note(code, _): seen.append(code.co_name)
        sys.monitoring.register_callback(2, events.PY_START, note)
        sys.monitoring.set_events(2, events.PY_START)
        def leaf(): fibril.sleep(0)
        fibril.joinall([fibril.spawn(leaf) for _ in range(5)])
        sys.monitoring.set_events(2, 0)
        print(seen.count("leaf"))
    """)
    assert out == "5\n"


# ---- signals ----


def test_a_storm_of_signals_breaks_nothing(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        from fibril.queue import Queue
        hits = [0]
        def handler(*_):
            hits[0] += 1
            fibril.spawn(len, "")
            fibril.getcurrent(), fibril.get_hub().parked()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        queue = Queue(1)
        feeder = fibril.spawn(lambda: [queue.put(n) for n in range(3000)])
        total = sum(queue.get() for _ in range(3000))
        ring = [fibril.spawn(fibril.sleep, 0.001 * n) for n in range(100)]
        fibril.joinall(ring)
        while hits[0] < 50:
            fibril.sleep(0.001)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(total)
    """)
    assert out == "4498500\n"


def test_ctrl_c_in_storms_only_ever_interrupts_python(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, signal, sys, threading, time, fibril
        from fibril.event import Event
        sys.stderr = open(os.devnull, "w")
        pid, stop = os.getpid(), []
        def storm():
            while not stop:
                os.kill(pid, signal.SIGINT)
                time.sleep(0.0007)
        caught = 0
        thread = threading.Thread(target=storm)
        def work():
            tasks = [fibril.spawn(fibril.sleep, 0.001) for _ in range(20)]
            fibril.joinall(tasks)
            fibril.Fiber(fibril.sleep).switch(0)
            Event().wait(0.001)
        is_started = False
        while caught < 20:
            try:
                if not is_started:
                    is_started = True
                    thread.start()
                while True:
                    work()
            except KeyboardInterrupt:
                caught += 1
            except (fibril.LoopExit, AssertionError):
                pass
        while True:
            try:
                stop.append(1)
                thread.join()
                fibril.sleep(0.01)
                break
            except KeyboardInterrupt:
                pass
        print(fibril.spawn(lambda: "alive").get())
    """)
    assert out == "alive\n"


# ---- what the collector and the end of objects find ----


def test_a_fiber_that_is_being_destroyed_is_not_told_of(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import gc, weakref, fibril
        main = fibril.getcurrent()
        def look(*_):
            for fiber, *_ in fibril.get_hub().parked():
                repr(fiber)
        class Looking:
            __del__ = look
        def stubborn():
            while True:
                try:
                    main.switch()
                except fibril.GreenletExit:
                    pass
        for _ in range(5):
            fiber = fibril.Fiber(stubborn)
            fiber.switch()
            fiber.looking = Looking()
            reference = weakref.ref(fiber, look)
            del fiber
            look()
            gc.collect()
        print("alive")
    """)
    assert (done.status, done.out) == (0, "alive\n")
    assert done.err.count("GreenletExit did not kill <fibril.Fiber object") == 5


def test_a_fiber_that_the_collector_has_cleared_cannot_be_reached(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import gc, fibril
        main = fibril.getcurrent()
        def stubborn():
            me, kept = fibril.getcurrent(), [1, 2, 3]
            def nested():
                return kept
            while True:
                try:
                    main.switch()
                except fibril.GreenletExit:
                    assert nested() == [1, 2, 3]
        fiber = fibril.Fiber(stubborn)
        fiber.switch()
        del fiber
        for _ in range(3):
            gc.collect()
        print([fiber.throw() for fiber, *_ in fibril.get_hub().parked()])
    """)
    assert out in ("[]\n", "[()]\n")


def test_a_destructor_that_runs_on_arrival_cannot_swallow_a_kill(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        from fibril import spawn, sleep
        from fibril.event import Event
        from fibril.lock import RLock, Semaphore
        from fibril.queue import Queue
        fibril._core.sim_install()
        class Waiting:
            def __del__(self):
                try:
                    sleep(0)
                except fibril.GreenletExit:
                    print("swallowed")
        def last():
            fibril.getcurrent().waiting = Waiting()
        def outcome(wait):
            def work():
                try:
                    return wait()
                except fibril.GreenletExit:
                    return "killed"
            task = spawn(work)
            sleep(0)
            def killer():
                spawn(last)
                task.kill(block=False)
            spawn(killer)
            sleep(1)
            return task.get(timeout=10)
        held = RLock()
        spawn(held.acquire).join()
        for wait in (Event().wait, Semaphore(0).acquire, Queue().get, held.acquire,
                     lambda: sleep(100), Queue(1, [1]).put and Event().wait):
            print(outcome(wait))
    """)
    assert out == "killed\n" * 6


def test_what_a_context_drags_along_may_kill_who_runs_next(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        from contextvars import ContextVar
        variable = ContextVar("variable")
        class Killing:
            def __del__(self):
                for victim in victims:
                    if victim is not fibril.getcurrent():
                        victim.kill(block=False)
        for _ in range(200):
            fibril.spawn(lambda: variable.set(Killing()))  # its context goes with the task itself
            victims = [fibril.spawn(len, ""), fibril.spawn(fibril.sleep, 1)]
            fibril.sleep(0)
            fibril.sleep(0)
        victims = []  # what is left ends with the interpreter, where nobody can be killed
        print("alive")
    """)
    assert out == "alive\n"


def test_a_collection_inside_a_switch_may_end_its_target(interpreter: Interpreter) -> None:
    """3.11 collects inside allocations, so also between choosing a target and entering it."""
    numbers = ", ".join(map(str, range(25)))
    out = interpreter.out(f"""
        import gc, fibril
        main = fibril.getcurrent()
        class Bomb:
            def __del__(self):
                try:
                    self.target.throw()
                except fibril.GreenletExit:
                    pass
        def work(*args):
            while True:
                main.switch()
        def once(use):
            fiber = fibril.Fiber(work)
            fiber.switch()
            gc.disable()
            gc.collect()
            bomb = Bomb()
            bomb.me, bomb.target = bomb, fiber
            del bomb
            gc.set_threshold(1)
            gc.enable()
            use(fiber)
        for use in (lambda f: f.switch({numbers}), lambda f: f.switch(1, a=1),
                    lambda f: f.switch(a=1), lambda f: f.throw(KeyError),
                    lambda f: f.throw(fibril.GreenletExit, "x")):
            for _ in range(5):
                try:
                    once(use)
                except KeyError:
                    pass
        print("alive")
    """)
    assert out == "alive\n"


def test_a_link_may_be_removed_while_it_is_compared(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        class Callback:
            def __call__(self, task): pass
            def __eq__(self, other):
                task.kill(block=False)
                fibril.sleep(0)
                return True
            __hash__ = None
        for _ in range(50):
            task = fibril.spawn(fibril.sleep, 10)
            fibril.sleep(0)
            for _ in range(3):
                task.link(Callback())
            task.unlink(print)
        print("alive")
    """)
    assert out == "alive\n"


def test_a_task_may_be_the_parent_of_a_fiber(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, fibril
        sys.stderr = None
        def fail():
            raise ValueError
        for end in (len, fail, fibril.getcurrent().switch):
            for state in ("unstarted", "spawned", "parked", "ended"):
                task = fibril.Task(fibril.sleep, 0.001)
                if state != "unstarted": task.start()
                if state == "parked": fibril.sleep(0)
                if state == "ended": task.join()
                def use(task=task, end=end):
                    fibril.Fiber(end, task).switch(*([""] if end is len else []))
                fibril.spawn(use)
                try:
                    fibril.sleep(0.003)
                except AssertionError:
                    pass
                task.kill()
        print("alive")
    """)
    assert out == "alive\n"


def test_daemon_threads_in_fibers_do_not_disturb_the_end(interpreter: Interpreter) -> None:
    program = """
        import os, threading, time, fibril
        from fibril.event import Event
        reader, writer = os.pipe()
        def busy():
            while True: pass
        def serve(use):
            fibril.spawn(fibril.sleep, 100)
            fibril.Fiber(use).switch()
        for use in (lambda: fibril.sleep(100), lambda: time.sleep(100), busy,
                    lambda: fibril._core.wait_read(reader), lambda: Event().wait(50),
                    lambda: fibril.spawn(fibril.sleep, 100).join()):
            threading.Thread(target=serve, args=(use,), daemon=True).start()
        time.sleep(0.02)
        print("end")
    """
    for _ in range(10):
        assert interpreter.out(program) == "end\n"
