"""The whole exception tree on one screen.

Three families: the caller's mistake, the end of a fiber that was asked to end, and a bug in fibril.
Errors of the operating system and of the peer are the standard library's own (OSError and its
children, ``TimeoutError``). The names are gevent's and greenlet's, so that ``except`` clauses of
existing programs hold. The native core imports this module; it imports nothing.
"""

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "FailedToSwitch",
    "FiberError",
    "GreenletExit",
    "HubDestroyed",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "LoopExit",
    "UnexpectedSwitch",
    "FibrilInternalError",
]


class FiberError(Exception):
    """A switch that cannot be: to another thread's fiber, or to one that is gone."""


class GreenletExit(BaseException):
    """Ends the fiber that it is raised in; the fiber then counts as having returned it."""


class HubDestroyed(GreenletExit):
    """The hub that a fiber was scheduled by has been destroyed."""


class LoopExit(Exception):
    """No fiber can ever go on: nobody is ready, and nothing that somebody waits for can happen."""

    @property
    def hub(self) -> object:
        """The hub that it was made with, as (message, hub, details); None if it was not.

        Switches: never. Threads: any.
        """
        return self.args[1] if len(self.args) == 3 else None


class BlockingSwitchOutError(AssertionError):
    """A blocking call where nothing may block: in a callback of the hub or a signal handler."""


class InvalidSwitchError(AssertionError):
    """Somebody switched by hand to a fiber that was parked and waiting for something else."""


class ConcurrentObjectUseError(AssertionError):
    """Two fibers used an object at once that serves only one."""


class FailedToSwitch(AssertionError):
    """A block ran for too long without letting others run: see fibril.testing.assert_switches."""


class UnexpectedSwitch(AssertionError):
    """A block let others run that must not: see fibril.testing.assert_no_switch."""


class InvalidThreadUseError(RuntimeError):
    """An object was used from a thread that it does not belong to."""


class FibrilInternalError(RuntimeError):
    """A bug in fibril: please report it, with the text of this error."""
