"""A soak: `python -m tests.soak.soak SEED SECONDS CONNECTIONS CHILDREN` prints what it did, and how
it ended: "calm".

The standard library is patched. So many connections and children are there at once, all the time,
and end in every way there is, while a timer's signals come; whoever sends, receives, writes, reads
or waits is struck at random. A first while makes the process as large as it gets; from then on to
the end it must not have more descriptors, threads, children or memory.
"""

import fibril.monkey

fibril.monkey.patch_all()

import resource  # noqa: E402  # all that follows is patched
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import fibril  # noqa: E402
from tests.soak import children, connections  # noqa: E402
from tests.soak.remains import remains  # noqa: E402
from tests.soak.world import World  # noqa: E402

SIGNAL_S = 0.02
END_S = 120  # for all who act, on a slow day
PER_CONNECTION, PER_CHILD, OTHERS = 2, 12, 200  # descriptors


def allowed(connection_count: int, child_count: int) -> int:
    """So many connections as descriptors are to be had for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PER_CONNECTION * connection_count + PER_CHILD * child_count + OTHERS
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit == wanted:
        return connection_count
    fewer = max(1, (limit - PER_CHILD * child_count - OTHERS) // PER_CONNECTION)
    print(f"{fewer:,} connections, not {connection_count:,}: {hard:,} descriptors are allowed")
    return fewer


def act(world: World, seconds: float, connection_count: int, child_count: int) -> None:
    """All at once, for so long."""
    world.until_s = time.monotonic() + seconds
    with connections.listen(connection_count) as listener:
        address = listener.getsockname()
        server = fibril.spawn(connections.serve, listener)

        def exchange(world: World) -> None:
            connections.exchange(world, address)

        actors = [
            *(
                fibril.spawn(world.live, exchange, connections.EXPECTED)
                for _ in range(connection_count)
            ),
            *(
                fibril.spawn(world.live, children.child, children.EXPECTED)
                for _ in range(child_count)
            ),
        ]
        done = fibril.joinall(actors, timeout=seconds + END_S)
        server.kill()
    for actor in set(actors) - set(done):
        world.fail(f"{actor} does not end")


def main(seed: int, seconds: float, connection_count: int, child_count: int) -> int:
    connection_count = allowed(connection_count, child_count)
    world = World(seed)
    signals = 0

    def handle(*unused: object) -> None:
        nonlocal signals
        signals += 1

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, SIGNAL_S, SIGNAL_S)
    act(world, min(10, seconds / 3), connection_count, child_count)
    before = remains()
    act(world, seconds, connection_count, child_count)
    after = remains()
    signal.setitimer(signal.ITIMER_REAL, 0)
    world.failures += before.excess_of(after)
    print(f"{connection_count:,} connections, {child_count} children, {signals:,} signals")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(world.done.items())))
    print(f"before: {before}\nafter: {after}")
    print("\n".join(world.failures) or "calm")
    return len(world.failures) > 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:])))
