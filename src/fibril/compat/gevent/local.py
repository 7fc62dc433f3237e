"""gevent.local, served by fibril."""

from fibril import getcurrent
from fibril.local import all_local_dicts_for_greenlet, local

__all__ = ["all_local_dicts_for_greenlet", "getcurrent", "local"]
