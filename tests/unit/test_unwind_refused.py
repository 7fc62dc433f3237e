"""Fibers that go on when GreenletExit is thrown at them: once, and then they are let go."""

import textwrap

import pytest

from tests.conftest import Interpreter

STUBBORN = """
    import {module} as module, contextlib, gc, io, threading
    from {module} import {name} as Fiber

    def refuse(main):
        while True:
            try:
                main.switch()
            except {exit}:
                thrown.append(1)

    def make():
        fiber = Fiber(refuse)
        fiber.switch(module.getcurrent())
        return fiber

    def use_hub():
        import fibril
        fibril.sleep(0)

    def in_thread(work):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        return thread.is_alive()

    thrown, kept, local = [], [], threading.local()
"""


@pytest.mark.parametrize("knows_greenlets", [False, True])
def test_a_fiber_that_refuses_to_be_unwound_is_thrown_at_once_and_let_go(
    knows_greenlets: bool, interpreter: Interpreter
) -> None:
    names = {"module": "fibril", "name": "Fiber", "exit": "module.GreenletExit"}
    if knows_greenlets:
        names = {"module": "greenlet", "name": "greenlet", "exit": "module.GreenletExit"}
    begin = "import fibril.compat\nfibril.compat.install()\n" if knows_greenlets else ""
    program = (
        textwrap.dedent(begin)
        + textwrap.dedent(STUBBORN.format(**names))
        + textwrap.dedent(
            """
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            make()
            print("dropped", len(thrown), said.getvalue().count("GreenletExit did not kill <"))
            print("thread", in_thread(make), len(thrown), said.getvalue().count("did not kill"))
            def keep_locally():
                local.fiber = make()
            print("local", in_thread(keep_locally), len(thrown))
            def keep():
                kept.append(make())
                use_hub()
            print("kept", in_thread(keep), len(thrown), said.getvalue().count("did not kill"))
            def keep_by_hand():
                kept.append(make())
            print("by hand", in_thread(keep_by_hand), len(thrown))
        """
        )
    )
    out = interpreter.out(program).splitlines()
    assert out[:4] == ["dropped 1 1", "thread False 2 2", "local False 3", "kept False 4 4"]
    # greenlet leaves alone whoever somebody else refers to: a scheduler may go on in its loop.
    assert out[4] == ("by hand False 4" if knows_greenlets else "by hand False 5")


def test_a_scheduler_of_greenlets_does_not_keep_its_thread_from_ending(
    interpreter: Interpreter,
) -> None:
    """Its loop goes on after any exception, and waits for what nobody will do."""
    out = interpreter.out("""
        import fibril.compat
        fibril.compat.install()
        import os, threading
        from greenlet import greenlet, getcurrent
        reader, writer = os.pipe()

        def schedule(main):
            due = [main]
            while True:
                try:
                    while due:
                        due.pop().switch()
                except BaseException:
                    pass
                os.read(reader, 1)

        def work():
            hub = greenlet(schedule)
            hub.switch(getcurrent())
            hubs.append(hub)

        hubs = []
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(10)
        print(thread.is_alive(), hubs[0].dead)
        os.write(writer, b"xx")
    """)
    assert out == "False True\n"
