"""gevent.threadpool, served by weft."""

from weft.threadpool import ThreadPool, ThreadPoolExecutor, ThreadResult

__all__ = ["ThreadPool", "ThreadPoolExecutor", "ThreadResult"]
