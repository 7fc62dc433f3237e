"""gevent.threadpool, served by weft."""

from weft.threadpool import ThreadPool

__all__ = ["ThreadPool"]
