"""gevent.util, served by fibril."""

from time import perf_counter

from fibril import getcurrent
from fibril.errors import FailedToSwitch as _FailedToSwitch
from fibril.util import FiberTree as GreenletTree
from fibril.util import assert_switches, format_run_info, print_run_info, wrap_errors
from fibril.util import format_run_info as dump_stacks

__all__ = [
    "GreenletTree",
    "_FailedToSwitch",
    "assert_switches",
    "dump_stacks",
    "format_run_info",
    "getcurrent",
    "perf_counter",
    "print_run_info",
    "wrap_errors",
]
