"""gevent.pool, served by weft."""

from weft.pool import Group, GroupMappingMixin, Pool, PoolFull

__all__ = ["Group", "GroupMappingMixin", "Pool", "PoolFull"]
