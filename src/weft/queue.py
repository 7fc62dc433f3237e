"""Queues that hand items from fibers to fibers.

Queue is native (csrc/python/queue_type.c). The exceptions are the standard library's, so that
``except queue.Empty`` catches both.
"""

from queue import Empty, Full

from weft import _core
from weft._core import Queue

__all__ = ["Empty", "Full", "JoinableQueue", "Queue"]

#: gevent's older name: its Queue has task_done() and join() too.
JoinableQueue = Queue

_core.set_queue_classes(Empty, Full)
