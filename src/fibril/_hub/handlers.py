"""Signal handlers are the main thread's, whichever fiber is interrupted: csrc has handler.c.

The idea: the standard library's `signal.signal` and `getsignal` end in two functions of the module
`_signal`. In their place are two that wrap what the program installs, and unwrap what they return;
what is wrapped chooses where to run. Whoever asks for a handler is told the one that was set.

Switches: never. Threads: main, for what installs.
Do not add: who listens to what; that is fibril._hub.signals.
"""

import _signal  # type: ignore[import-not-found]  # typeshed has none of it
import functools
from typing import Any

from fibril._core import SignalHandler, call_in_main

__all__ = ["install_plain"]

_install = _signal.signal
_installed = _signal.getsignal


def install_plain(signalnum: int, handler: Any) -> Any:
    """As signal.signal, for a handler that never waits nor raises: it runs where it is called.

    Switches: never. Threads: owner, the main one. Raises ValueError elsewhere, and OSError.
    """
    return _function(_install(signalnum, handler))


@functools.wraps(_install)
def _signal_signal(signalnum: int, handler: Any, /) -> Any:
    return install_plain(signalnum, SignalHandler(handler) if callable(handler) else handler)


@functools.wraps(_installed)
def _signal_getsignal(signalnum: int, /) -> Any:
    return _function(_installed(signalnum))


def _function(handler: Any) -> Any:
    return handler.function if isinstance(handler, SignalHandler) else handler


def _adopt() -> None:
    """Wrap what is installed already: Python's own for Ctrl-C, and what the program came with."""
    for number in _signal.valid_signals():
        handler = _installed(number)
        if callable(handler) and not isinstance(handler, SignalHandler):
            _signal_signal(number, handler)


_signal.signal = _signal_signal
_signal.getsignal = _signal_getsignal
try:
    _adopt()
except ValueError:  # imported by another thread: handlers are the main one's
    call_in_main(_adopt)
