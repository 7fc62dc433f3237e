"""Fibers: plain functions that hand control and values to each other by `switch`.

Nothing is scheduled here: a fiber runs when somebody switches to it and stops where it switches
away. When its function returns, its parent, here the main program, goes on with the result.

Run it:

    python examples/fibers.py

It prints:

    ping 1
    pong 2
    ping 3
    pong 4
    the winner is ping
    countdown: 3 2 1
"""

import fibril


def ping(ball: int) -> str:
    """Hit the ball until it has been hit four times."""
    while ball < 4:
        print("ping", ball)
        ball = pong_fiber.switch(ball + 1)
    return "ping"


def pong(ball: int) -> str:
    """Hit the ball back."""
    while True:
        print("pong", ball)
        ball = ping_fiber.switch(ball + 1)


def countdown(start: int) -> None:
    """A generator without `yield`: any function called from here could give out a value too."""
    for number in range(start, 0, -1):
        caller.switch(number)


ping_fiber = fibril.Fiber(ping)
pong_fiber = fibril.Fiber(pong)
print("the winner is", ping_fiber.switch(1))

counter = fibril.Fiber(countdown)
caller = counter.parent
numbers = [counter.switch(3)]
while (number := counter.switch()) is not None:
    numbers.append(number)
print("countdown:", *numbers)
