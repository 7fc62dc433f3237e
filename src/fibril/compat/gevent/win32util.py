"""gevent.win32util, served by fibril: what an error number means, which Linux tells itself."""

from os import strerror

__all__ = ["formatError"]


def formatError(errorcode: int) -> str:  # noqa: N802
    return strerror(errorcode)
