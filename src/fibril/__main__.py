"""`python -m fibril`, and the `fibril` command."""

import sys

from fibril.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
