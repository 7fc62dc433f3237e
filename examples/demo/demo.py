"""What fibril is for, in half a minute: `make demo`.

    python examples/demo/demo.py

1. Twenty pages of a slow local web server are fetched with unmodified `requests`, one after
   another and then with fibril; a timeline shows what each task did.
2. An echo server of straight-line code serves a thousand connections of an independent client.
3. All figures on one screen.

Everything happens on this machine. On a terminal, with rich installed, the progress is drawn live;
otherwise it is printed as plain lines. Ctrl-C ends it, and every process that it started.
"""

import argparse
import importlib.util
import os
import resource
import signal
import sys
from typing import NoReturn

from children import ended_children
from stages import run_stages
from view import Lines, View

LIMIT_S = 60


def choose_view() -> View:
    """The screen if there is a terminal that can do it, else plain lines."""
    if not importlib.util.find_spec("rich"):
        return Lines()
    from rich.console import Console

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal or console.encoding != "utf-8":
        return Lines()
    if console.width < 70 or console.height < 24:
        return Lines()
    from screen import Screen

    return Screen(console)


def end_on_signals() -> None:
    """Make SIGTERM, a closed terminal and a demo that takes too long leave by the same way out."""

    def leave(number: int, frame: object) -> NoReturn:
        if number == signal.SIGALRM:
            raise TimeoutError(f"the demo took longer than {LIMIT_S} s")
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, leave)
    signal.alarm(LIMIT_S)


def allow_many_files() -> None:
    """Let the children have a socket for each connection."""
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def parse_options() -> argparse.Namespace:
    """The command line: how much of everything."""
    parser = argparse.ArgumentParser(description="what fibril is for, in half a minute")
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--latency", type=float, default=0.3, metavar="S")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4, help="of echoing")
    return parser.parse_args()


def main() -> int:
    """Run the demo; the exit code."""
    options = parse_options()
    missing = [name for name in ("fibril", "requests") if not importlib.util.find_spec(name)]
    if missing:
        print(f"the demo needs {' and '.join(missing)}: run it with `make demo`", file=sys.stderr)
        return 1
    end_on_signals()
    allow_many_files()
    try:
        with ended_children() as children:
            run_stages(children, choose_view(), options)
    except KeyboardInterrupt:
        print("\nended by Ctrl-C", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (RuntimeError, TimeoutError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
