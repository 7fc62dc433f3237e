"""Where a server writes a line for each request: a file, a logger, or nowhere.

The idea: a server knows files only, and these make one of what it is given.
Do not add: what is in the lines (wsgi.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["ERROR", "INFO", "LoggingLogAdapter", "NoLog", "as_log"]

INFO, ERROR = 20, 40  # logging's, which is not imported for those who do not log


class LoggingLogAdapter:
    """A file whose lines become records of a logger; else it is as the logger.

    logger: a logging.Logger, or what has its `log`. level: the records' level, INFO by default.

    Switches: if it must wait: the logger's handlers. Threads: any.

    >>> import logging
    >>> from fibril.pywsgi import LoggingLogAdapter
    >>> LoggingLogAdapter(logging.getLogger("requests")).name
    'requests'
    """

    __slots__ = ("_level", "_logger")

    def __init__(self, logger: Any, level: int = INFO) -> None:
        self._logger = logger
        self._level = level

    def write(self, msg: str) -> None:
        """Log it, without the line's end."""
        self._logger.log(self._level, msg.removesuffix("\n"))

    def writelines(self, lines: Iterable[str]) -> None:
        """Log each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is kept back."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in LoggingLogAdapter.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._logger, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._logger, name)


class NoLog:
    """A file that keeps nothing.

    Switches: never. Threads: any.
    """

    def write(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def writelines(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""


def as_log(log: Any, level: int) -> Any:
    """A file for a server's argument: "default" is stderr, None nowhere, a logger gets records.

    Switches: never. Threads: any.
    """
    if log is None:
        return NoLog()
    if isinstance(log, str) and log == "default":
        return sys.stderr
    if hasattr(log, "log") and not hasattr(log, "write"):
        return LoggingLogAdapter(log, level)
    return log
