"""eventlet.green.http.cookies, served by fibril: nothing of it waits."""

from http.cookies import *  # noqa: F403
