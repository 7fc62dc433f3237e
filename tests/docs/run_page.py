"""Run the examples of a page, one after the other, as one session: `run_page.py PAGE.md`.

In a process of its own for each page, because they patch the standard library.
"""

import doctest
import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    page = Path(sys.argv[1])
    text = page.read_text(encoding="utf-8")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict[str, object] = {}
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1))
        block = doctest.DocTestParser().get_doctest(found[1], names, page.name, str(page), line)
        runner.run(block, clear_globs=False)
        names = block.globs
    print(f"{runner.summarize(verbose=False).attempted} lines")
    sys.exit(1 if runner.failures else 0)


if __name__ == "__main__":
    main()
