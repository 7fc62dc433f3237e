"""eventlet.green.zmq, served by fibril: pyzmq's own green module, whose gevent is fibril; where it
is installed."""

from fibril import compat as _compat

_compat.install()  # before what follows imports gevent
from zmq.green import *  # type: ignore[import-not-found]  # noqa: E402, F403
