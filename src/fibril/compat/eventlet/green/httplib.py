"""eventlet.green.httplib, served by fibril: Python 2's name of eventlet.green.http.client."""

from ..patcher import slurp_properties as _slurp_properties
from .http import client as _module

_slurp_properties(_module, globals())
