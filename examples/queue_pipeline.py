"""A pipeline: each stage is a task of straight-line code, a small queue between each two.

A queue of two items makes the fast stages wait for the slowest one, so a stream of any length needs
the memory of a few items. A StopIteration in a queue ends the loop that reads it.

Run it:

    python examples/queue_pipeline.py

It prints:

    0 squared is 0
    1 squared is 1
    2 squared is 4
    3 squared is 9
    4 squared is 16
    never more than 2 waited
"""

import fibril
from fibril.queue import Queue

numbers = Queue(2)
squares = Queue(2)
waiting = []


def count(limit: int) -> None:
    """First stage: produce numbers as fast as the queue takes them."""
    for number in range(limit):
        numbers.put(number)
        waiting.append(numbers.qsize())
    numbers.put(StopIteration)


def square() -> None:
    """Second stage: a slow one."""
    for number in numbers:
        fibril.sleep(0.01)
        squares.put((number, number * number))
    squares.put(StopIteration)


def show() -> None:
    """Last stage: print what arrives."""
    for number, result in squares:
        print(number, "squared is", result)


fibril.joinall([fibril.spawn(count, 5), fibril.spawn(square), fibril.spawn(show)], raise_error=True)
print("never more than", max(waiting), "waited")
