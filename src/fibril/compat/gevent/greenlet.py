"""gevent.greenlet, served by fibril."""

from fibril import Task as Greenlet
from fibril import getcurrent, joinall, killall
from fibril.hub import Waiter
from fibril.task import FailureSpawnedLink, SpawnedLink, SuccessSpawnedLink

__all__ = [
    "FailureSpawnedLink",
    "Greenlet",
    "SpawnedLink",
    "SuccessSpawnedLink",
    "Waiter",
    "getcurrent",
    "joinall",
    "killall",
]
