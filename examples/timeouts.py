"""Give up waiting: a time limit on any block of code, on one call, or on a task.

Run it:

    python examples/timeouts.py

It prints:

    in time: done after 0.01 s
    the block took too long
    the call took too long, so: nothing
    the task was killed and cleaned up
"""

import fibril


def slow(seconds: float) -> str:
    """Wait; no time limit is mentioned here, yet each one below holds."""
    fibril.sleep(seconds)
    return f"done after {seconds} s"


def tidy() -> None:
    """Wait for long, and clean up whoever ends it."""
    try:
        slow(60)
    finally:
        print("the task was killed and", end=" ")


with fibril.Timeout(5):
    print("in time:", slow(0.01))

try:
    with fibril.Timeout(0.01):
        slow(60)
except fibril.Timeout:
    print("the block took too long")

answer = fibril.with_timeout(0.01, slow, 60, timeout_value="nothing")
print("the call took too long, so:", answer)

task = fibril.spawn(tidy)
task.join(timeout=0.01)
task.kill()
print("cleaned up")
