"""eventlet's events, timeouts, semaphores, queues and pools: where they differ from fibril's."""

from tests.conftest import Interpreter
from tests.unit.served_eventlet import SERVED

BEGIN = (
    SERVED
    + """
from eventlet import event, greenpool, hubs, pools, queue, semaphore
"""
)


# ---- events ----


def test_an_event_is_sent_once(interpreter: Interpreter) -> None:
    text = """
sent = event.Event()
raised(AssertionError, sent.reset)
assert not sent.ready() and sent.poll("no") == "no" and sent.wait(0.001) is None
sent.send(5)
raised(AssertionError, sent.send, 6)
assert sent.wait() == sent.poll() == sent.poll_result() == 5 and sent.has_result()
assert sent.poll_exception("no") == "no"
sent.reset()
sent.send(exc=ValueError("v"))
assert sent.has_exception() and raised(ValueError, sent.wait).args == ("v",)
sent.reset()
sent.send_exception(KeyError, "k")
assert raised(KeyError, sent.poll).args == ("k",) and sent.poll_result("no") == "no"
"""
    assert interpreter.out(BEGIN + text) == ""


def test_who_waited_before_a_reset_gets_what_was_sent(interpreter: Interpreter) -> None:
    text = """
sent = event.Event()
threads = [eventlet.spawn(sent.wait) for _ in range(3)]
eventlet.sleep(0)
sent.send("first")
sent.reset()
late = eventlet.spawn(sent.wait)
eventlet.sleep(0)
sent.send("second")
assert [thread.wait() for thread in threads] == ["first"] * 3 and late.wait() == "second"
"""
    assert interpreter.out(BEGIN + text) == ""


# ---- timeouts ----


def test_a_timeout_runs_from_when_it_is_made(interpreter: Interpreter) -> None:
    text = """
timeout = eventlet.Timeout(0.001)
assert timeout.pending
raised(AssertionError, timeout.start)
assert raised(eventlet.Timeout, eventlet.sleep, 60) is timeout and not timeout.pending
timeout.start()
timeout.cancel()
eventlet.sleep(0.002)
eventlet.Timeout(-1, KeyError)
raised(KeyError, eventlet.sleep, 60)
with eventlet.Timeout(0.001, False):
    eventlet.sleep(60)
with eventlet.Timeout(None) as never:
    assert not never.pending
assert raised(eventlet.Timeout, eventlet.with_timeout, 0.001, eventlet.sleep, 60)
assert eventlet.with_timeout(0.001, eventlet.sleep, 60, timeout_value=3) == 3
def true():
    with eventlet.Timeout(0.001, True) as timeout:
        try:
            eventlet.sleep(60)
        except eventlet.Timeout as struck:
            assert struck is timeout
            raise
raised(eventlet.Timeout, true)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_timeout_of_0_stands_in_line(interpreter: Interpreter) -> None:
    text = """
items, order = queue.Queue(), []
def bail():
    timeout = eventlet.Timeout(0, KeyError())
    assert timeout.pending
    try:
        order.append(items.get())
    except KeyError:
        order.append("late")
threads = [eventlet.spawn(bail) for _ in range(2)]
eventlet.sleep(0)
items.put("kept")  # for who is struck before he runs
for thread in threads:
    thread.wait()
assert order == ["late"] * 2 and items.get_nowait() == "kept"
cancelled = eventlet.Timeout(0)
cancelled.cancel()
with eventlet.Timeout(0):
    pass
eventlet.sleep(0.001)
with eventlet.Timeout(0, False):
    eventlet.sleep(60)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_an_outer_timeout_is_not_the_inner_ones(interpreter: Interpreter) -> None:
    text = """
def inner():
    return eventlet.with_timeout(60, eventlet.sleep, 60, timeout_value="inner")
raised(eventlet.Timeout, eventlet.with_timeout, 0.001, inner)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_what_is_a_timeout_says_so(interpreter: Interpreter) -> None:
    text = """
import socket
@eventlet.wrap_is_timeout
class Mine(Exception): pass
@eventlet.wrap_is_timeout
def made(): return ValueError()
for late in (Mine(), made(), eventlet.Timeout(), socket.timeout(), TimeoutError()):
    assert eventlet.is_timeout(late), late
assert not eventlet.is_timeout(ValueError())
"""
    assert interpreter.out(BEGIN + text) == ""


# ---- semaphores ----


def test_a_semaphore_says_how_many_wait(interpreter: Interpreter) -> None:
    text = """
sem = semaphore.Semaphore(1)
assert sem.balance == 1 and not sem.locked() and not sem.bounded()
assert sem.acquire() and sem.locked() and not sem.acquire(blocking=False)
assert sem.acquire(timeout=0.001) is False and sem.balance == 0
threads = [eventlet.spawn(sem.acquire) for _ in range(2)]
eventlet.sleep(0)
assert sem.balance == -2
threads[0].kill()
assert sem.balance == -1
assert sem.release() is True and threads[1].wait() is True and sem.balance == 0
raised(ValueError, sem.acquire, blocking=False, timeout=1)
raised(ValueError, sem.acquire, timeout=-2)
raised(TypeError, semaphore.Semaphore, "x"), raised(ValueError, semaphore.Semaphore, -1)
raised(ValueError, semaphore.BoundedSemaphore(1).release)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_capped_semaphore_waits_at_both_ends(interpreter: Interpreter) -> None:
    text = """
sem = semaphore.CappedSemaphore(1, limit=2)
assert sem.release() and sem.bounded() and not sem.release(blocking=False)
waits = eventlet.spawn(sem.release)
eventlet.sleep(0)
assert not waits.dead and sem.acquire() and waits.wait() is True
killed = eventlet.spawn(sem.release)
eventlet.sleep(0)
killed.kill()
assert sem.acquire() and sem.acquire() and not sem.acquire(blocking=False)
zero = semaphore.CappedSemaphore(0, 0)
taker = eventlet.spawn(zero.acquire)
zero.release()
assert taker.wait() is True
"""
    assert interpreter.out(BEGIN + text) == ""


# ---- queues ----


def test_a_queue_of_size_0_hands_over(interpreter: Interpreter) -> None:
    text = """
channel, order = queue.LightQueue(0), []
def take():
    order.append(channel.get())
    order.append(channel.get())
eventlet.spawn(take)
for item in "ab":
    channel.put(item)
    order.append("sent " + item)
assert order == ["a", "sent a", "b", "sent b"], order
raised(queue.Full, channel.put, 1, timeout=0.001), raised(queue.Full, channel.put_nowait, 1)
raised(queue.Empty, channel.get_nowait), raised(queue.Empty, channel.get, timeout=0.001)
giver = eventlet.spawn(channel.put, "c")
eventlet.sleep(0)
assert channel.putting() == 1 and channel.empty() and channel.full()
assert channel.get_nowait() == "c"
giver.wait()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_resize_serves_who_waits(interpreter: Interpreter) -> None:
    text = """
waiting = queue.Queue(0)
threads = [eventlet.spawn(waiting.put, n) for n in range(3)]
eventlet.sleep(0)
waiting.resize(2)
eventlet.sleep(0)
assert [thread.dead for thread in threads] == [True, True, False] and waiting.qsize() == 2
waiting.resize(None)
eventlet.sleep(0)
assert [waiting.get() for _ in range(3)] == [0, 1, 2]
"""
    assert interpreter.out(BEGIN + text) == ""


def test_an_item_for_who_is_killed_is_the_next_ones(interpreter: Interpreter) -> None:
    text = """
for kind in (queue.LightQueue, queue.Queue, queue.LifoQueue, queue.PriorityQueue):
    items = kind()
    first, second = eventlet.spawn(items.get), eventlet.spawn(items.get)
    eventlet.sleep(0)
    assert items.getting() == 2
    items.put("item")
    first.kill()
    assert second.wait() == "item" and items.getting() == 0
    last = eventlet.spawn(items.get)
    eventlet.sleep(0)
    items.put("kept")
    last.kill()
    assert items.get_nowait() == "kept"
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_queue_counts_what_is_not_done(interpreter: Interpreter) -> None:
    text = """
items = queue.PriorityQueue(1)
items.join()
items.put(2)
raised(queue.Full, items.put, 1, block=False)
assert items.unfinished_tasks == 1
waits = eventlet.spawn(items.join)
eventlet.sleep(0)
assert not waits.dead and items.get() == 2
items.task_done()
waits.wait()
raised(ValueError, items.task_done)
assert queue.Queue(0).maxsize == 0 and queue.Queue(-1).maxsize is None
from eventlet.green import Queue
assert Queue.Queue(0).maxsize is None
"""
    assert interpreter.out(BEGIN + text) == ""


# ---- pools ----


def test_a_pool_waits_for_a_place(interpreter: Interpreter) -> None:
    text = """
pool, done = greenpool.GreenPool(2), event.Event()
for _ in range(2):
    pool.spawn_n(done.wait)
assert (pool.running(), pool.free(), pool.waiting()) == (2, 0, 0)
waits = eventlet.spawn(pool.spawn, pow, 2, 3)
eventlet.sleep(0)
assert pool.waiting() == 1
done.send()
pool.waitall()
assert waits.wait().wait() == 8
pool.waitall()
assert (pool.running(), pool.free()) == (0, 2)
raised(AssertionError, pool.spawn(pool.waitall).wait)
raised(TypeError, greenpool.GreenPool, "x"), raised(ValueError, greenpool.GreenPool, -1)
"""
    assert interpreter.run(BEGIN + text).status == 0


def test_a_member_of_a_full_pool_does_not_wait_for_itself(interpreter: Interpreter) -> None:
    text = """
pool, seen = greenpool.GreenPool(1), []
def outer():
    seen.append(pool.spawn(pow, 2, 3).wait())
    pool.spawn_n(seen.append, "n")
pool.spawn(outer).wait()
assert seen == [8, "n"]
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_pool_that_shrinks_drops_places_as_they_come_back(interpreter: Interpreter) -> None:
    text = """
pool, done = greenpool.GreenPool(3), event.Event()
for _ in range(2):
    pool.spawn(done.wait)
pool.resize(1)
assert pool.free() == -1
done.send()
pool.waitall()
assert pool.free() == 1
pool.resize(4)
assert pool.free() == 4
"""
    assert interpreter.out(BEGIN + text) == ""


def test_places_come_back_however_members_end(interpreter: Interpreter) -> None:
    text = """
pool = greenpool.GreenPool(2)
pool.spawn(int).kill()
pool.spawn_n(int, "x")
thread = pool.spawn(eventlet.sleep, 60)
eventlet.sleep(0)
thread.kill()
pool.waitall()
assert pool.free() == 2 and pool.running() == 0
"""
    done = interpreter.run(BEGIN + text)
    assert done.status == 0, done.err


def test_imap_and_piles_keep_the_order_and_go_on_after_an_error(interpreter: Interpreter) -> None:
    text = """
pool = greenpool.GreenPool(3)
def slow(n):
    eventlet.sleep(0.002 * (3 - n % 3))
    if n == 4:
        raise KeyError(n)
    return n
def taken(results):
    while True:
        try:
            yield next(results)
        except StopIteration:
            return
        except KeyError:
            yield "error"
assert list(taken(pool.imap(slow, range(6)))) == [0, 1, 2, 3, "error", 5]
assert list(pool.starmap(pow, [(2, 3), (3, 2)])) == [8, 9]
assert list(pool.imap(None, "ab", "cd")) == [("a", "c"), ("b", "d")]
pile = greenpool.GreenPile(pool)
assert list(greenpool.GreenPile(2)) == []
for n in range(6):
    pile.spawn(slow, n)
assert list(taken(pile)) == [0, 1, 2, 3, "error", 5]
"""
    done = interpreter.run(BEGIN + text)
    assert done.status == 0, done.err


def test_imap_runs_no_further_ahead_than_the_pool_is_large(interpreter: Interpreter) -> None:
    text = """
begun = []
results = greenpool.GreenPool(3).imap(begun.append, range(100))
for _ in range(20):
    eventlet.sleep(0)
assert len(begun) <= 7, len(begun)
assert len(list(results)) == 100
"""
    assert interpreter.out(BEGIN + text) == ""


def test_things_are_lent_and_given_back(interpreter: Interpreter) -> None:
    text = """
made = []
def create():
    made.append(len(made))
    return made[-1]
pool = pools.Pool(max_size=2, create=create)
one, two = pool.get(), pool.get()
assert pool.free() == 0
waits = eventlet.spawn(pool.get)
eventlet.sleep(0)
assert pool.waiting() == 1
pool.put(two)
assert waits.wait() == two and made == [0, 1]
pool.put(one)
with pool.item() as thing:
    assert thing == one
pool.resize(1)
pool.put(two)
assert pool.current_size == 1 and pool.free() == 1
stack = pools.Pool(max_size=2, order_as_stack=True, create=create)
one, two = stack.get(), stack.get()
stack.put(one), stack.put(two)
assert stack.get() == two
raised(NotImplementedError, pools.Pool().get)
assert isinstance(pools.TokenPool().get(), pools.Token)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_values_that_need_each_other_are_made_in_order(interpreter: Interpreter) -> None:
    text = """
from eventlet.dagpool import Collision, DAGPool, PropagateError
pool = DAGPool({"a": 1})
def add(key, results):
    return sum(value for _, value in results) + 1
pool.spawn_many({"d": "bc", "b": "a", "c": "ab"}, add)
assert pool.waiting_for("d") == {"b", "c"} and pool.running() == 3
assert pool.waitall() == {"a": 1, "b": 2, "c": 4, "d": 7}
raised(Collision, pool.spawn, "a", (), add), raised(Collision, pool.post, "a", 0)
pool.post("a", 0, replace=True)
def fail(key, results): 1 // 0
pool.spawn("e", (), fail)
pool.spawn("f", "e", add)
error = raised(PropagateError, pool.wait, "f")
assert error.key == "f" and error.exc.key == "e"
assert [key for key, _ in pool.wait_each_exception("aef")] == ["e", "f"]
pool.spawn("g", (), add)
pool.kill("g")
raised(KeyError, pool.kill, "g"), raised(KeyError, pool.waiting_for, "g")
"""
    assert interpreter.out(BEGIN + text) == ""


def test_connections_are_lent_cleaned_and_dropped(interpreter: Interpreter) -> None:
    text = """
from eventlet import db_pool
log = []
class Connection:
    def rollback(self): log.append("rollback")
    def close(self): log.append("close")
class Module:
    def connect(self, **options):
        log.append(options)
        return Connection()
for kind in (db_pool.RawConnectionPool, db_pool.TpooledConnectionPool):
    log.clear()
    pool = kind(Module(), max_size=1, host="h")
    conn = pool.get()
    assert conn and log == [{"host": "h"}]
    conn.close()
    assert not conn and log[1:] == ["rollback"] and len(pool.free_items) == 1
    def spoil(conn): raise ValueError
    pool.put(pool.get(), cleanup=spoil)
    assert log[-1] == "close" and pool.current_size == 0
    with pool.item() as conn:
        waits = eventlet.spawn(pool.get)
        eventlet.sleep(0)
        assert pool.waiting() == 1
    waits.wait().close()
    pool.clear()
    assert pool.current_size == 0 and log[-1] == "close"
    old = kind(Module(), max_age=0)
    old.get().close()
    assert len(old.free_items) == 0 and log[-1] == "close"
"""
    done = interpreter.run(BEGIN + text)
    assert done.status == 0, done.err
