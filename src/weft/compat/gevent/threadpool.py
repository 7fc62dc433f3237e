"""gevent.threadpool, served by weft."""

from weft.threadpool import ThreadPool, ThreadPoolExecutor

__all__ = ["ThreadPool", "ThreadPoolExecutor"]
