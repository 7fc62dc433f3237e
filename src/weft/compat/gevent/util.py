"""gevent.util, served by weft."""

from weft.errors import FailedToSwitch as _FailedToSwitch
from weft.util import FiberTree as GreenletTree
from weft.util import assert_switches, format_run_info, print_run_info, wrap_errors

__all__ = [
    "GreenletTree",
    "_FailedToSwitch",
    "assert_switches",
    "format_run_info",
    "print_run_info",
    "wrap_errors",
]
