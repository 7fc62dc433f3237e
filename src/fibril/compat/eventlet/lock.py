"""eventlet.lock, served by fibril: a semaphore of one that refuses to be released twice."""

from .semaphore import Semaphore

__all__ = ["Lock"]


class Lock(Semaphore):
    """A lock: RuntimeError if it is released and not held."""

    def release(self, blocking: bool = True) -> bool:
        """Give it back; True."""
        if self.counter > 0:
            raise RuntimeError("release unlocked lock")
        return super().release(blocking)

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]
