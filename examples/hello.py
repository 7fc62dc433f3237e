"""Spawn tasks, wait for all of them, take their results.

Run it:

    python examples/hello.py

It prints, after a tenth of a second and not after three:

    hello from task 1
    hello from task 2
    hello from task 3
    results: [1, 4, 9]
"""

import fibril


def work(number: int) -> int:
    """Wait a little, as a call over the network would; meanwhile the other tasks run."""
    print(f"hello from task {number}")
    fibril.sleep(0.1)
    return number * number


tasks = [fibril.spawn(work, number) for number in (1, 2, 3)]
fibril.joinall(tasks)
print("results:", [task.value for task in tasks])
