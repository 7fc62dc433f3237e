"""eventlet.green.builtin, served by fibril: open() of what may wait lets others run."""

from fibril.fileobject import open as open

__all__ = ["open"]
__patched__ = ["open"]
