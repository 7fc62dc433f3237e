"""Fetch the pages of page_server.py with unmodified `requests`, and check each one.

    python fetch.py URL PAGES                        one after another
    python -m fibril run fetch.py URL PAGES --tasks    each page in a task of its own

`fetch` is the same for both. What happens is reported as JSON lines, in seconds of the machine's
monotonic clock: two for each page, one when its turn comes, one when it is there.
"""

import hashlib
import json
import sys
import time
from typing import Any

import requests


def report(page: int, **facts: Any) -> None:
    """Print one line about a page."""
    print(json.dumps({"page": page, **facts}), flush=True)


def fetch(url: str, page: int) -> None:
    """Get one page, wait for all of it, and check that it is intact."""
    report(page, begin=time.monotonic())
    response = requests.get(f"{url}/page/{page}", timeout=20)
    is_intact = hashlib.sha256(response.content).hexdigest() == response.headers["X-Sha256"]
    report(
        page,
        asked=float(response.headers["X-Asked-At"]),
        answered=float(response.headers["X-Answered-At"]),
        end=time.monotonic(),
        bytes=len(response.content),
        is_intact=is_intact,
    )


def fetch_one_after_another(url: str, pages: range) -> None:
    """The time of all is the sum of the times."""
    for page in pages:
        fetch(url, page)


def fetch_in_tasks(url: str, pages: range) -> None:
    """The time of all is about the time of the slowest."""
    import fibril

    fibril.joinall([fibril.spawn(fetch, url, page) for page in pages], raise_error=True)


if __name__ == "__main__":
    fetch_all = fetch_in_tasks if "--tasks" in sys.argv else fetch_one_after_another
    fetch_all(sys.argv[1], range(1, int(sys.argv[2]) + 1))
