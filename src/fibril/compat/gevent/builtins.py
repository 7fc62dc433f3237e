"""gevent.builtins, served by fibril: Python's own, whose imports lock one module each."""

import builtins as _stdlib

__implements__: list[str] = []
__all__: list[str] = []
globals().update({name: value for name, value in vars(_stdlib).items() if name[0] != "_"})
