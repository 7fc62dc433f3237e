"""`python -m gevent.monkey`, served by fibril."""

import sys

from gevent.monkey import main

if __name__ == "__main__":
    sys.exit(main())
