"""gevent.pool, served by fibril."""

from fibril.pool import Group, GroupMappingMixin, Pool, PoolFull

__all__ = ["Group", "GroupMappingMixin", "Pool", "PoolFull"]
