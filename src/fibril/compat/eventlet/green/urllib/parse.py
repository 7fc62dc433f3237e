"""eventlet.green.urllib.parse, served by fibril: nothing of it waits."""

from urllib.parse import *  # noqa: F403
