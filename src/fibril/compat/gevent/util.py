"""gevent.util, served by fibril."""

from fibril.errors import FailedToSwitch as _FailedToSwitch
from fibril.util import FiberTree as GreenletTree
from fibril.util import assert_switches, format_run_info, print_run_info, wrap_errors

__all__ = [
    "GreenletTree",
    "_FailedToSwitch",
    "assert_switches",
    "format_run_info",
    "print_run_info",
    "wrap_errors",
]
