"""The two stages of the demo: fetching pages, and echoing messages.

Each runs programs as children and writes what they report into figures; a view shows it meanwhile.
The stages measure nothing themselves: times and counts come from the programs, memory and
processor time from the kernel. Nothing here prints.
"""

import json
from argparse import Namespace

from children import HERE, Children, cpu_seconds, memory_bytes
from figures import Echo, Figures, Run
from view import View


def fetch_pages(children: Children, view: View, count: int, latency_s: float) -> tuple[Run, Run]:
    """Fetch all pages one after another, then with fibril."""
    server = children.start(HERE / "page_server.py", "--latency", latency_s, "--pages", count)
    url = f"http://127.0.0.1:{json.loads(children.line(server))['port']}"
    plain, fibril = Run.of("one after another", count), Run.of("with fibril", count)
    program = [HERE / "fetch.py", url, count]
    commands = [(plain, program), (fibril, ["-m", "fibril", "run", *program, "--tasks"])]
    with view.fetching(plain, fibril, latency_s):
        for run, command in commands:
            for event in children.events(children.start(*command)):
                view.page(run, run.note(event))
    return plain, fibril


def echo_messages(children: Children, view: View, connections: int, seconds: float) -> Echo:
    """Put an echo server made of fibril tasks under many connections of an independent client."""
    echo = Echo(connections, seconds)
    server = children.start(HERE.parent / "echo_server.py", 0)
    port = children.line(server).rpartition(":")[2].strip()
    echo.idle_bytes, idle_cpu_s = memory_bytes(server), cpu_seconds(server)
    options = ["--connections", connections, "--seconds", seconds, "--messages", 0]
    with view.echoing(echo):
        client = children.start(HERE / "echo_client.py", port, *options)
        for event in children.events(client):
            echo.note(event)
            echo.peak_bytes = max(echo.peak_bytes, memory_bytes(server))
            echo.cpu_s = cpu_seconds(server) - idle_cpu_s
            view.echoed(echo)
    return echo


def run_stages(children: Children, view: View, options: Namespace) -> None:
    """Both stages, and all figures at the end."""
    plain, fibril = fetch_pages(children, view, options.pages, options.latency)
    view.timeline(fibril)
    echo = echo_messages(children, view, options.connections, options.seconds)
    view.summary(Figures(plain, fibril, echo))
