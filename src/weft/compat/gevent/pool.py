"""gevent.pool, served by weft."""

from weft.pool import Group, Pool, PoolFull

__all__ = ["Group", "Pool", "PoolFull"]
