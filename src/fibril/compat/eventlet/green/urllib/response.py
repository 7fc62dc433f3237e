"""eventlet.green.urllib.response, served by fibril: nothing of it waits."""

from urllib.response import *  # noqa: F403
