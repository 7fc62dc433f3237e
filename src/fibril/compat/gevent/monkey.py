"""gevent.monkey, served by fibril."""

import sys

from fibril.monkey import *  # noqa: F403
from fibril.monkey import __all__ as _fibril_names

__all__ = [*_fibril_names, "main"]


def main() -> int:
    from fibril.cli.monkey import main  # above all else: only who runs programs needs it

    return main()


if __name__ == "__main__":
    sys.exit(main())
