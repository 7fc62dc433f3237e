"""eventlet.green.http.cookiejar, served by fibril: nothing of it waits."""

from http.cookiejar import *  # noqa: F403
