"""Runs one of CPython's own test files under fibril's patch. A program, as recorded.py is.

Children that multiprocessing starts anew import this file, and so are patched, too.
"""

import fibril.monkey

fibril.monkey.patch_all()

if __name__ == "__main__":
    import recorded

    recorded.main()
