"""gevent.pywsgi, served by fibril."""

import sys as _sys
from typing import Any, ClassVar

from gevent import version_info as _version_info

from fibril import pywsgi as _ours
from fibril.pywsgi import (
    MAX_REQUEST_LINE,
    Environ,
    Input,
    LoggingLogAdapter,
    SecureEnviron,
    WSGISecureEnviron,
    _InvalidClientInput,
    _InvalidClientRequest,
    format_date_time,
    headers_factory,
)

__all__ = [
    "Environ",
    "LoggingLogAdapter",
    "SecureEnviron",
    "WSGIHandler",
    "WSGISecureEnviron",
    "WSGIServer",
]
# Of which programs know, though they are no part of its interface.
_OTHERS = (Input, _InvalidClientInput, _InvalidClientRequest, format_date_time, headers_factory)


class WSGIHandler(_ours.WSGIHandler):
    # Programs set the module's.
    MAX_REQUEST_LINE: Any = property(lambda self: MAX_REQUEST_LINE)


class WSGIServer(_ours.WSGIServer):
    handler_class = WSGIHandler
    # Programs look for the name: simple-websocket for one, to know where the socket is.
    base_env: ClassVar[dict[str, Any]] = {
        **_ours.WSGIServer.base_env,
        "SERVER_SOFTWARE": "gevent/{}.{} Python/{}.{}".format(
            *_version_info[:2], *_sys.version_info[:2]
        ),
    }


if __name__ == "__main__":
    _ours.main(WSGIServer)
