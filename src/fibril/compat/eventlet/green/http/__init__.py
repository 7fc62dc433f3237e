"""eventlet.green.http, served by fibril."""

from http import *  # noqa: F403
