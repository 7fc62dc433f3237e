"""eventlet.green.urllib.error, served by fibril: nothing of it waits."""

from urllib.error import *  # noqa: F403
