"""Spawn tasks, wait for all of them, take their results.

Run it:

    python examples/hello.py

It prints, after a tenth of a second and not after three:

    hello from task 1
    hello from task 2
    hello from task 3
    results: [1, 4, 9]
"""

import weft


def work(number: int) -> int:
    """Wait a little, as a call over the network would; meanwhile the other tasks run."""
    print(f"hello from task {number}")
    weft.sleep(0.1)
    return number * number


tasks = [weft.spawn(work, number) for number in (1, 2, 3)]
weft.joinall(tasks)
print("results:", [task.value for task in tasks])
