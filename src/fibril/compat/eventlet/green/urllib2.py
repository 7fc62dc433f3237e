"""eventlet.green.urllib2, served by fibril: Python 2's name of eventlet.green.urllib.request."""

from ..patcher import slurp_properties as _slurp_properties
from .urllib import request as _module

_slurp_properties(_module, globals())
