"""Run the examples in a module's docstrings, the native ones included: `run_examples.py MODULE`.

In a process of its own for each module, because some examples patch the standard library.
"""

import doctest
import importlib
import sys
from collections.abc import Iterator
from typing import Any


def documented(module: Any) -> Iterator[tuple[str, Any]]:
    """Everything public of a module that has a docstring, and the methods of its classes."""
    yield module.__name__, module
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if not str(getattr(thing, "__module__", "")).startswith("fibril"):
            continue  # the standard library's, passed on
        yield name, thing
        if isinstance(thing, type):
            yield from ((f"{name}.{key}", vars(thing)[key]) for key in vars(thing))


def main() -> None:
    module = importlib.import_module(sys.argv[1])
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, thing in documented(module):
        text = thing.__doc__ if isinstance(getattr(thing, "__doc__", None), str) else ""
        example = doctest.DocTestParser().get_doctest(text, {}, name, sys.argv[1], 0)
        if example.examples:
            runner.run(example)
    print(f"{runner.summarize(verbose=False).attempted} lines")
    sys.exit(1 if runner.failures else 0)


if __name__ == "__main__":
    main()
