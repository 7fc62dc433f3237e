"""eventlet.green.SimpleHTTPServer, served by fibril: http.server by its older name."""

from ..patcher import slurp_properties as _slurp_properties
from .http import server as _module

_slurp_properties(_module, globals())
