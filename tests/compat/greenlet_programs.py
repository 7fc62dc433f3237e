"""Programs that print what greenlet does, for test_greenlet_twin.py. Each is run by both greenlets.

They print everything that a user could notice, and nothing else: no ids, no order of collection.
`tell` prints what a call gives, or the exception that it raises.
"""

START = """
import contextvars, copy, gc, pickle, sys, threading, time
import greenlet
from greenlet import GreenletExit, getcurrent, gettrace, settrace
from greenlet import greenlet as Greenlet
main = getcurrent()

def tell(name, call):
    try:
        print(name, "->", repr(call()))
    except BaseException as error:
        print(name, "!!", type(error).__name__, error)

def leave(*args):
    return getcurrent().parent.switch(*args)

def started(run=leave):
    fiber = Greenlet(run)
    fiber.switch()
    return fiber

def end(thread, its_main):
    # greenlet notices a little later than Python that a thread has ended.
    thread.join(10)
    for _ in range(1000):
        if its_main.dead:
            return
        time.sleep(0.001)

def in_thread(run):
    mains = []
    thread = threading.Thread(target=lambda: (mains.append(getcurrent()), run()))
    thread.start()
    thread.join(10)
    end(thread, mains[0])
"""

PROGRAMS = {
    "names": """
        for name in sorted(set(greenlet.__all__) - {"_C_API"}):
            value = getattr(greenlet, name)
            print(name, type(value).__name__)
        for name in ("getcurrent", "error", "GreenletExit", "settrace", "gettrace"):
            print(name, getattr(Greenlet, name) is getattr(greenlet, name))
        print(Greenlet, Greenlet.__name__, Greenlet.__qualname__, Greenlet.__module__)
        print(greenlet.error, greenlet.error.__mro__, greenlet.error.__qualname__)
        print(GreenletExit, GreenletExit.__mro__, repr(GreenletExit("x")))
        print(Greenlet.__basicsize__, Greenlet.__dictoffset__ > 0, Greenlet.__weakrefoffset__ > 0)
        print([name for name in dir(greenlet) if name.startswith("GREENLET_USE")])
        print(greenlet.CLOCKS_PER_SEC, greenlet.get_clocks_used_doing_optional_cleanup())
        tell("off", lambda: greenlet.enable_optional_cleanup(False))
        tell("disabled", greenlet.get_clocks_used_doing_optional_cleanup)
        tell("on", lambda: greenlet.enable_optional_cleanup(True))
        tell("enabled", greenlet.get_clocks_used_doing_optional_cleanup)
    """,
    "reprs": """
        class Sub(Greenlet):
            pass
        fiber, sub = Greenlet(leave), Sub(leave)
        print(main, fiber, sub)
        print(Greenlet(lambda: print(getcurrent(), main)).switch())
        fiber.switch(), sub.switch()
        print(fiber, sub, bool(fiber), fiber.dead, fiber._stack_saved > 0, main._stack_saved)
        fiber.switch(), sub.throw()
        print(fiber, sub, bool(fiber), fiber.dead, fiber._stack_saved)
        kept = []
        in_thread(lambda: kept.extend([getcurrent(), started(), Greenlet(), repr(main)]))
        print(kept, [(each.dead, bool(each)) for each in kept[:3]])
    """,
    "misuse": """
        def assign(target, name, value):
            return lambda: setattr(target, name, value)
        def delete(target, name):
            return lambda: delattr(target, name)
        new, parked, dead = Greenlet(leave), started(), Greenlet(lambda: None)
        dead.switch()
        for kind, fiber in (("new", new), ("parked", parked), ("dead", dead), ("main", main)):
            for value in (None, 1, "42", main, fiber):
                tell(f"{kind}.parent = {type(value).__name__}", assign(fiber, "parent", value))
            tell(f"del {kind}.parent", delete(fiber, "parent"))
            tell(f"del {kind}.gr_context", delete(fiber, "gr_context"))
            tell(f"{kind}.gr_context = 3", assign(fiber, "gr_context", 3))
            tell(f"{kind}.dead = 3", assign(fiber, "dead", 3))
            tell(f"{kind}.gr_frame = 3", assign(fiber, "gr_frame", 3))
            tell(f"del {kind}.__dict__", delete(fiber, "__dict__"))
            tell(f"{kind}.__dict__ = 3", assign(fiber, "__dict__", 3))
            if fiber is not new:
                tell(f"{kind}.run", lambda: fiber.run)
                tell(f"{kind}.run = 3", assign(fiber, "run", len))
                tell(f"del {kind}.run", delete(fiber, "run"))
            for call in (copy.copy, copy.deepcopy, pickle.dumps):
                tell(f"{call.__name__} {kind}", lambda: call(fiber))
        tell("tb", lambda: parked.throw(Exception, Exception(), 3))
        tell("value", lambda: parked.throw(Exception(), Exception()))
        tell("str", lambda: parked.throw("abc"))
        tell("int", lambda: parked.throw(7, 8))
        tell("object", lambda: parked.throw(object))
        a, b, c = Greenlet(), Greenlet(), Greenlet()
        a.parent, b.parent = b, c
        tell("cycle", assign(c, "parent", a))
        print(a.parent is b, b.parent is c, c.parent is main, parked.switch())
    """,
    "run": """
        tell("none given", lambda: Greenlet().run)
        tell("None given", lambda: Greenlet(None).run)
        tell("call None", lambda: Greenlet(None).switch())
        tell("call none", lambda: Greenlet().switch())
        tell("throw at none", lambda: Greenlet().throw(ValueError))
        tell("kill none", lambda: Greenlet().throw())
        fiber = Greenlet(len)
        del fiber.run
        del fiber.run
        fiber.run = sorted
        print(fiber.run, fiber.switch((3, 1)))
        class Method(Greenlet):
            def run(self, *args):
                return self is getcurrent(), args, "run" in dir(self)
        tell("method", lambda: Method().switch(1))
        class Property(Greenlet):
            @property
            def run(self):
                self.count = vars(self).get("count", 0) + 1
                if self.count == 1:
                    print("inner", self.switch("inner"))
                return lambda value: leave(value) or "end"
        fiber = Property()
        tell("outer", lambda: fiber.switch("outer"))
        tell("again", lambda: fiber.switch("again"))
        tell("dead", lambda: fiber.switch("dead"))
        class Raises(Greenlet):
            def __getattribute__(self, name):
                if name == "run":
                    raise KeyError(name)
                return super().__getattribute__(name)
        fiber = Raises(print)
        tell("raises", fiber.switch)
        tell("raises", fiber.throw)
        print(fiber)
    """,
    "parents": """
        parent = Greenlet(lambda *args: ("parent", args))
        tell("value", lambda: Greenlet(lambda: 42, parent).switch())
        def fail():
            raise ValueError("fail")
        parent = Greenlet(print)
        tell("exception", lambda: Greenlet(fail, parent).switch())
        print(parent)
        no_run = Greenlet()
        tell("no run", lambda: Greenlet(lambda: 42, no_run).switch())
        tell("no run", lambda: Greenlet(fail, no_run).switch())
        print(no_run)
        def too_many():
            pass
        tell("arguments", lambda: Greenlet(lambda: 42, Greenlet(too_many)).switch())
        child = Greenlet(lambda: 1)
        child.switch()
        child.parent = Greenlet(lambda *args: ("late", args))
        tell("dead child", lambda: child.switch(5, a=6))
        tell("dead child", lambda: child.switch(5, a=6))
        tell("throw at dead", lambda: child.throw(ValueError, "thrown"))
        tell("kill dead", lambda: child.throw(GreenletExit("gone")))
        class Perverse(Greenlet):
            def __getattribute__(self, name):
                if name == "run":
                    raise KeyError(name)
                return object.__getattribute__(self, name)
        grand = Greenlet(lambda *args: ("grand", args))
        child = Greenlet(lambda: 1, Perverse(parent=grand))
        tell("perverse", child.switch)
        tell("perverse", child.switch)
        tell("self", lambda: getcurrent().switch(1, 2, c=3))
        tell("self", lambda: getcurrent().switch())
        tell("throw self", lambda: getcurrent().throw(ValueError, "self"))
    """,
    "tracing": """
        names = {main: "main"}
        def tracer(event, pair):
            print("  ", event, *(names.get(each, "?") for each in pair),
                  getcurrent() is pair[1], sys.exc_info()[0])
        def named(name, run, *parent):
            fiber = Greenlet(run, *parent)
            names[fiber] = name
            return fiber
        def fail():
            raise ValueError("fail")
        print(gettrace(), settrace(tracer), gettrace() is tracer)
        tell("return", lambda: named("a", lambda: 1).switch())
        tell("raise", lambda: named("b", fail).switch())
        fiber = named("c", lambda: leave(leave()))
        tell("leave", fiber.switch)
        tell("resume", lambda: fiber.switch(7))
        tell("throw", lambda: fiber.throw(KeyError))
        tell("dead", fiber.switch)
        tell("throw at new", lambda: named("d", leave).throw(ValueError))
        tell("kill new", lambda: named("e", leave).throw())
        tell("self", lambda: main.switch(3))
        tell("throw self", lambda: main.throw(KeyError))
        tell("parent", lambda: named("f", lambda: 1, named("g", lambda v: v)).switch())
        tell("foreign", lambda: in_thread(lambda: print(gettrace())))
        fiber = named("h", leave)
        fiber.switch()
        del names[fiber], fiber
        gc.collect()
        def broken(event, pair):
            raise RuntimeError(event)
        print(settrace(broken) is tracer)
        tell("broken at start", lambda: Greenlet(print).switch())
        print(gettrace())
        fiber = started()
        settrace(broken)
        tell("broken at resume", lambda: fiber.switch(1))
        print(gettrace(), fiber)
        settrace(broken)
        tell("broken at throw", lambda: Greenlet(leave).throw(ValueError))
        settrace(broken)
        tell("broken at self", lambda: main.switch(1))
        other = started(lambda: [leave(i) for i in range(9)])
        busy = []
        def switches(event, pair):
            if not busy:
                busy.append(1)
                print("  ", "in tracer", other.switch())
                busy.clear()
        settrace(switches)
        tell("switching tracer", lambda: Greenlet(lambda *args: args).switch(1, 2))
        tell("None", lambda: settrace(None) is switches)
        print(settrace(None), gettrace())
    """,
    "contexts": """
        var = contextvars.ContextVar("var", default="default")
        var.set("main")
        def body(expected):
            print(expected, var.get(), getcurrent().gr_context)
            var.set("fiber")
            kept = getcurrent().gr_context
            print(len(kept), leave())
            print(var.get(), getcurrent().gr_context is kept)
            getcurrent().gr_context = None
            print(var.get(), getcurrent().gr_context)
            var.set("last")
        fiber = Greenlet(body)
        print(fiber.gr_context)
        fiber.switch("empty")
        print(len(fiber.gr_context), fiber.gr_context[var], var.get())
        fiber.switch("back")
        print(fiber.dead, fiber.gr_context[var])
        fiber.gr_context = None
        print(fiber.gr_context)
        fiber = Greenlet(body)
        fiber.gr_context = context = contextvars.copy_context()
        fiber.switch("copied")
        print(fiber.gr_context is context, context[var], var.get())
        fiber.gr_context = None
        print(fiber.gr_context, var.get())
        fiber.switch("cleared")
        fiber = Greenlet(contextvars.copy_context().run)
        fiber.switch(leave)
        print(fiber.gr_context[var])
        fiber.switch()
        print(fiber.gr_context)
        tell("main", lambda: main.gr_context[var])
        is_running, may_end = threading.Event(), threading.Event()
        made = []
        def work():
            def wait():
                var.set("thread")
                is_running.set()
                may_end.wait(10)
            made.append(Greenlet(wait))
            made[0].switch()
        thread = threading.Thread(target=work)
        thread.start()
        is_running.wait(10)
        tell("get", lambda: made[0].gr_context)
        tell("set", lambda: setattr(made[0], "gr_context", None))
        may_end.set()
        thread.join(10)
        tell("after", lambda: made[0].gr_context[var])
    """,
    "threads": """
        made, is_made, may_end = [], threading.Event(), threading.Event()
        def work():
            made.extend([getcurrent(), Greenlet(lambda *args: ("new", args)), started()])
            is_made.set()
            may_end.wait(10)
        thread = threading.Thread(target=work)
        thread.start()
        is_made.wait(10)
        theirs, new, parked = made
        for name, fiber in (("main", theirs), ("new", new), ("parked", parked)):
            tell(name, lambda: fiber.switch(1))
            tell(name, lambda: fiber.throw(ValueError))
            tell(name, lambda: fiber.throw())
        mine = Greenlet(lambda: 1)
        tell("unstarted", lambda: setattr(mine, "parent", theirs))
        tell("switch", mine.switch)
        tell("started", lambda: setattr(started(), "parent", theirs))
        tell("parked", lambda: setattr(parked, "parent", main))
        new.parent = main
        tell("moved", lambda: new.switch(1, 2))
        print(new)
        print(parked.gr_frame.f_code.co_name, parked.dead, theirs.dead, theirs.gr_frame)
        may_end.set()
        end(thread, theirs)
        for name, fiber in (("main", theirs), ("parked", parked)):
            print(fiber, fiber.dead, bool(fiber))
            tell(name, fiber.switch)
            tell(name, lambda: fiber.throw(ValueError))
        tell("of the ended", lambda: Greenlet(print, theirs).switch())
    """,
    "death": """
        def stubborn(name):
            while True:
                try:
                    leave(name)
                except GreenletExit as error:
                    print("caught", error, getcurrent().parent is main)
                    kept.append(getcurrent())
                    return "survived"
        kept = []
        fiber = started(lambda: stubborn("first"))
        del fiber
        print(kept)
        def cleanup():
            try:
                leave()
            finally:
                print("finally", type(sys.exc_info()[1]).__name__)
        fiber = started(cleanup)
        fiber = None
        fiber = started(cleanup)
        tell("kill", fiber.throw)
        tell("kill again", fiber.throw)
        hub = Greenlet(lambda: "hub ends")
        def worker():
            try:
                main.switch()
            except GreenletExit:
                kept.append((getcurrent().parent is main, getcurrent()))
                hub.switch()
        fiber = Greenlet(worker, hub)
        fiber.switch()
        del fiber
        print(kept[-1][0], kept[-1][1].parent is hub, kept[-1][1])
        kept.clear()
        class Exit(GreenletExit):
            pass
        tell("subclass", lambda: started().throw(Exit("mine")))
        def raises():
            raise Exit("from within")
        tell("raised", lambda: Greenlet(raises).switch())
        tell("class", lambda: Greenlet(lambda: GreenletExit).switch())
        seen = []
        def late():
            value = leave()
            del workers[0]
            initiator.parent = getcurrent().parent
            try:
                leave(value)
            finally:
                seen.append(getcurrent())
        workers = [Greenlet(late)]
        workers[0].switch()
        initiator = Greenlet(lambda: 42, workers[0])
        tell("arguments survive", initiator.switch)
        print(len(seen), seen[0].dead)
    """,
    "frames": """
        def inner(depth):
            if depth == 0:
                return leave(sys._getframe())
            return sorted([depth], key=lambda d: inner(d - 1))
        fiber = Greenlet(inner)
        frame = fiber.switch(3)
        print(fiber.gr_frame is frame, main.gr_frame, Greenlet().gr_frame)
        while frame is not None:
            print(frame.f_code.co_name, frame.f_lineno - inner.__code__.co_firstlineno)
            frame = frame.f_back
        tell("clear", lambda: fiber.gr_frame.clear())
        Greenlet(lambda: print(main.gr_frame.f_code.co_name, getcurrent().gr_frame)).switch()
        fiber.switch(0)
        print(fiber.gr_frame)
    """,
}

# A seeded program of random operations on a few fibers: whoever runs takes the next operation.
RANDOM = """
import random

class Failure(Exception):
    pass

def play(seed, count=300):
    dice = random.Random(seed)
    fibers, names, steps = [], {main: "main"}, [count]

    def name(value):
        if isinstance(value, BaseException):
            return f"{type(value).__name__}({value})"
        return names.get(value, "?") if isinstance(value, Greenlet) else repr(value)

    def body(*args):
        print(names[getcurrent()], "starts with", *map(name, args))
        return live(dice.randrange(1, 12))

    def live(length):
        me = names[getcurrent()]
        for _ in range(length):
            if steps[0] <= 0:
                break
            steps[0] -= 1
            try:
                print(me, "got", name(act(dice.randrange(12))))
            except Failure as error:
                print(me, "caught", name(error))
                if me != "main" and dice.random() < 0.4:
                    raise
            except (ValueError, AttributeError, TypeError) as error:
                print(me, "refused", error)
        return f"result of {me}"

    def starts_a_parent(fiber):
        # Would its death by GreenletExit start an ancestor? greenlet takes the exception for a
        # tuple of arguments then, and reads whatever is in memory.
        heir = fiber.parent
        while heir.dead:
            heir = heir.parent
        return not heir

    def act(number):
        if number == 0 or not fibers:
            fiber = Greenlet(body, getcurrent() if dice.random() < 0.5 else None)
            names[fiber] = f"f{len(names)}"
            fibers.append(fiber)
            return fiber
        fiber = dice.choice(fibers)
        if number == 1:
            fiber.parent = dice.choice([*fibers, main])
            return fiber.parent
        if number == 2:
            return fiber.throw(Failure(f"by {names[getcurrent()]}"))
        if number == 3 and not starts_a_parent(fiber):
            return fiber.throw()
        if number == 4:
            return fiber.dead, bool(fiber), name(fiber.parent)
        if number == 5:
            return main.switch("to main", names[getcurrent()])
        return fiber.switch(*range(dice.randrange(3)))

    while steps[0] > 0:
        live(count)
    print([(names[fiber], fiber.dead, bool(fiber)) for fiber in fibers])
    for fiber in fibers:  # those that are parked end here, in this order
        if not starts_a_parent(fiber):
            print("end", names[fiber], name(fiber.throw()))
"""
