"""How large stacks are: the usual size, one fiber's own, and what is refused."""

import sys
import threading

import pytest

import fibril
from fibril import Fiber, Task, getcurrent
from tests.conftest import Interpreter

SMALLEST = {(3, 11): 1024, (3, 12): 512, (3, 13): 512}.get(sys.version_info[:2], 192) << 10


@pytest.fixture
def usual():
    """Whatever a test sets, the next one has the usual size."""
    former = fibril.stack_size()
    yield former
    fibril.stack_size(former)


def test_without_a_wish_a_fiber_gets_the_usual_size(usual):
    fiber = Fiber(lambda: getcurrent().stack_size)
    assert fiber.stack_size == usual
    assert fiber.switch() == usual == fibril.get_hub().statistics()["stack_bytes"]


def test_a_fiber_gets_at_least_what_it_asks_for():
    for wanted in (SMALLEST, SMALLEST + 1, 5_000_000, 8 << 20, 100 << 20):
        fiber = Fiber(lambda: getcurrent().stack_size, stack_size=wanted)
        assert wanted <= fiber.stack_size < wanted * 5 / 4 + (64 << 10)
        assert fiber.stack_size == fiber.switch()


def test_a_task_is_told_before_it_starts():
    task = Task(lambda: getcurrent().stack_size)
    task.stack_size = 16 << 20
    task.start()
    assert task.get() == 16 << 20


def test_tasks_of_different_sizes_do_not_share_stacks():
    tasks = [Task(lambda: getcurrent().stack_size) for _ in range(30)]
    for number, task in enumerate(tasks):
        task.stack_size = (None, 8 << 20, 16 << 20)[number % 3]
        task.start()
    fibril.joinall(tasks)
    usual = fibril.stack_size()
    assert [task.value for task in tasks] == [usual, 8 << 20, 16 << 20] * 10


def test_a_parent_that_starts_with_the_result_has_its_own_size():
    parent = Fiber(lambda value: (value, getcurrent().stack_size), stack_size=16 << 20)
    assert Fiber(lambda: 5, parent).switch() == (5, 16 << 20)


def test_none_is_the_usual_size(usual):
    fiber = Fiber(len, stack_size=8 << 20)
    fiber.stack_size = None
    assert fiber.stack_size == usual
    assert Fiber(len, stack_size=None).stack_size == usual


def test_the_main_fiber_has_a_stack_that_is_not_ours():
    assert getcurrent().stack_size is None


def test_once_started_it_cannot_be_changed():
    fiber = Fiber(getcurrent().switch)
    fiber.switch()
    with pytest.raises(AttributeError, match="the fiber has started"):
        fiber.stack_size = 8 << 20
    fiber.switch()
    with pytest.raises(AttributeError, match="the fiber has started"):
        fiber.stack_size = 8 << 20
    with pytest.raises(AttributeError, match="set it to None"):
        del Fiber(len).stack_size


@pytest.mark.parametrize("bad", [1, -1, 4096, SMALLEST - 1, 1 << 50, 1 << 100, -(1 << 100)])
def test_a_size_that_cannot_work_is_refused_with_the_ones_that_can(bad, usual):
    for ask in (lambda: Fiber(len, stack_size=bad), lambda: fibril.stack_size(bad)):
        with pytest.raises(ValueError, match=f"cannot give a fiber a stack of {bad} bytes"):
            ask()
    assert fibril.stack_size() == usual


@pytest.mark.parametrize("bad", ["1M", 1.5, [1]])
def test_what_is_no_int_is_no_size(bad):
    for ask in (lambda: Fiber(len, stack_size=bad), lambda: fibril.stack_size(bad)):
        with pytest.raises(TypeError, match="a stack's size must be an int"):
            ask()


def test_the_usual_size_can_be_set_for_what_starts_from_then_on(usual):
    before = Fiber(lambda: getcurrent().stack_size)
    assert fibril.stack_size(8 << 20) == usual
    assert before.switch() == 8 << 20
    assert fibril.spawn(lambda: getcurrent().stack_size).get() == 8 << 20
    seen = []
    thread = threading.Thread(target=lambda: seen.append(Fiber(len).stack_size))
    thread.start()
    thread.join()
    assert seen == [8 << 20]
    assert fibril.stack_size(0) == 8 << 20
    assert fibril.stack_size() == usual


def test_python_recursion_ends_in_an_error_on_the_smallest_stack(interpreter: Interpreter) -> None:
    out = interpreter.out(f"""
        import functools, fibril
        def endless(kind):
            again = functools.partial(endless, kind)
            return kind(again)
        kinds = {{
            "partial": lambda f: functools.partial(f)(),
            "sorted": lambda f: sorted([1, 2], key=lambda _: f()),
            "map": lambda f: list(map(lambda _: f(), [1])),
        }}
        for name, kind in kinds.items():
            try:
                fibril.Fiber(endless, stack_size={SMALLEST}).switch(kind)
            except RecursionError:
                print(name)
    """)
    assert out == "partial\nsorted\nmap\n"


def test_a_larger_stack_holds_deeper_recursion_of_c(interpreter: Interpreter) -> None:
    """Iterators that call each other without any count: only the stack's size is a limit."""
    out = interpreter.out("""
        import itertools, fibril
        def deep():
            nested = iter([1])
            for _ in range(200_000):
                nested = itertools.chain(nested, [1])
            return next(nested)
        fiber = fibril.Fiber(deep, stack_size=256 << 20)
        print(fiber.switch())
    """)
    assert out == "1\n"


def test_the_environment_sets_the_usual_size(interpreter: Interpreter) -> None:
    program = "import fibril; print(fibril.stack_size(), fibril.Fiber(len).stack_size)"
    for text, size in (("8388608", 8 << 20), ("4096K", 4 << 20), (" 2m ", 2 << 20), ("", None)):
        out = interpreter.out(program, FIBRIL_STACK_SIZE=text)
        expected = size or fibril.stack_size()
        assert out == f"{expected} {expected}\n"


@pytest.mark.parametrize("bad", ["1x", "1.5M", "4096", "-1"])
def test_a_bad_size_in_the_environment_is_an_error_that_says_so(
    bad: str, interpreter: Interpreter
) -> None:
    done = interpreter.run("import fibril", FIBRIL_STACK_SIZE=bad)
    assert done.status == 1
    assert f"cannot take the size of stacks from FIBRIL_STACK_SIZE='{bad}'" in done.err
