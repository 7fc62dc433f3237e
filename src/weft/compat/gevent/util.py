"""gevent.util, served by weft."""

from weft.util import FiberTree as GreenletTree
from weft.util import format_run_info, print_run_info, wrap_errors

__all__ = ["GreenletTree", "format_run_info", "print_run_info", "wrap_errors"]
