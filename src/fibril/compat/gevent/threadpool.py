"""gevent.threadpool, served by fibril."""

from fibril.threadpool import ThreadPool, ThreadPoolExecutor, ThreadResult

__all__ = ["ThreadPool", "ThreadPoolExecutor", "ThreadResult"]
