"""Fetch many pages at once with plain `requests`.

Run it:

    python examples/fetch_many.py https://www.python.org https://www.gnu.org https://docs.python.org

It prints one line for each address, in the order of the addresses, all after about the time that
the slowest one takes:

    200     50123 bytes  https://www.python.org

`requests` knows nothing of fibril: after `patch_all` its sockets let other tasks run while they
wait. `python -m fibril run program.py` does the same for a program that you do not want to change.
"""

import sys

from fibril import monkey

monkey.patch_all()

import requests  # noqa: E402

import fibril  # noqa: E402


def fetch(url: str) -> str:
    """One page, as in any program that never heard of coroutines."""
    response = requests.get(url, timeout=30)
    return f"{response.status_code} {len(response.content):>9} bytes  {url}"


tasks = [fibril.spawn(fetch, url) for url in sys.argv[1:]]
for task in tasks:
    print(task.get())
