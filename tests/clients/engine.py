"""Who runs the tasks, fibril or, for comparison, the real gevent; importing this patches.

Do not add: anything before the patch; programs import this first of all that is not the standard
library's.
"""

import importlib
import sys
from typing import Any

NAME = "gevent" if sys.argv[-2:] == ["--on", "gevent"] else "fibril"
engine: Any = importlib.import_module(NAME)
importlib.import_module(f"{NAME}.monkey").patch_all()
Task: Any = engine.Task if NAME == "fibril" else engine.Greenlet
