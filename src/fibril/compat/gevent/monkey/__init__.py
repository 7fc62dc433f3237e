"""gevent.monkey, served by fibril."""

from fibril.monkey import *  # noqa: F403
from fibril.monkey import __all__ as _fibril_names

from . import api as api

__all__ = [*_fibril_names, "main"]


def main() -> int:
    from fibril.cli.monkey import main  # above all else: only who runs programs needs it

    return main()
