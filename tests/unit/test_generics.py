"""Classes that say of what they are, as in Task[int]: at run time that is the class itself."""

import pickle
from types import GenericAlias
from typing import Generic, TypeVar, get_args, get_origin

import pytest

import fibril
from fibril import Task, spawn
from fibril.event import AsyncResult
from fibril.hub import Waiter
from fibril.queue import (
    Channel,
    JoinableQueue,
    LifoQueue,
    PriorityQueue,
    Queue,
    SimpleQueue,
    UnboundQueue,
)
from fibril.threadpool import ThreadPoolExecutor

T = TypeVar("T")
QUEUES = [SimpleQueue, Queue, JoinableQueue, LifoQueue, PriorityQueue, UnboundQueue]
GENERICS = [Task, AsyncResult, Waiter, Channel, *QUEUES]


@pytest.mark.parametrize("cls", GENERICS)
def test_a_subscript_says_of_what_and_makes_the_class_itself(cls: type) -> None:
    alias = cls[int]
    assert get_origin(alias) is cls
    assert get_args(alias) == (int,)
    made = alias()
    assert type(made) is cls
    assert isinstance(made, cls)


@pytest.mark.parametrize("cls", GENERICS)
def test_a_subclass_of_a_subscript_is_one_of_the_class(cls: type) -> None:
    class OfInt(cls[int]):
        pass

    class OfAny(cls[T], Generic[T]):
        pass

    for sub in (OfInt, OfAny):
        assert cls in sub.__mro__
        assert isinstance(sub(), cls)
    assert get_args(OfAny[str]) == (str,)


def test_a_subclass_of_a_subscript_runs_as_a_task() -> None:
    class Double(Task[int]):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def _run(self) -> int:
            return 2 * self.number

    assert Double.spawn(21).get() == 42
    assert [task.value for task in fibril.joinall([Double.spawn(1), Task[int].spawn(abs, -3)])] == [
        2,
        3,
    ]


def test_a_subclass_of_a_subscript_is_a_queue_with_its_own_order() -> None:
    class Shortest(Queue[str]):
        def _get(self) -> str:
            self.queue.sort(key=len)
            return self.queue.pop(0)

        def _init(self, maxsize: int | None, items: tuple[str, ...] = ()) -> None:
            self.queue = list(items)

        def _put(self, item: str) -> None:
            self.queue.append(item)

        def _qsize(self) -> int:
            return len(self.queue)

    queue = Shortest()
    spawn(lambda: [queue.put(word) for word in ("three", "a", "to")])
    fibril.sleep(0)
    assert [queue.get() for _ in range(3)] == ["a", "to", "three"]


def test_instances_have_no_subscript_and_no_dict_of_it() -> None:
    with pytest.raises(TypeError):
        Queue()[int]
    with pytest.raises(TypeError):
        isinstance(Queue(), Queue[int])
    assert not hasattr(Waiter[int](), "__dict__")


def test_aliases_are_equal_and_can_be_pickled() -> None:
    assert Task[int] == Task[int] != Task[str]
    assert isinstance(Task[int], GenericAlias)
    assert pickle.loads(pickle.dumps(Task[int])) == Task[int]


def test_the_future_of_an_executor_says_of_what() -> None:
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(abs, -1)
    assert get_args(type(future)[int]) == (int,)
    assert future.result() == 1
