"""gevent.backdoor, served by fibril."""

import sys

from fibril.backdoor import BackdoorServer, main

__all__ = ["BackdoorServer"]

if __name__ == "__main__":
    sys.exit(main())
