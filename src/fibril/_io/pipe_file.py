"""File objects of pipes: reading and writing one lets other tasks run.

The idea: the standard library's buffered files call the raw file below them, which here is a FileIO
whose system calls are ours; the descriptor stays a blocking one, for whoever shares it.
Do not add: buffers, text, files on a disk.
"""

import io
import warnings
from typing import IO, TYPE_CHECKING, Any

from fibril import _core

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["PipeFile", "open_pipe"]

_PART = 65536  # bytes read at a time until the end
_NO_LINES = (  # the standard library's words
    "line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be "
    "used"
)


class PipeFile(io.FileIO):
    """A raw file whose reading and writing let other tasks run.

    Switches: if it must wait. Threads: any.
    """

    def readinto(self, buffer: "WriteableBuffer", /) -> Any:
        """Read once into a buffer: how many bytes; None if a non-blocking one has none."""
        return self._try(self.readable(), "reading", _core.readv, [buffer])

    def read(self, size: int | None = -1, /) -> Any:
        """Read once, `size` bytes at most, or all there is until the end."""
        if size is None or size < 0:
            return self.readall()
        return self._try(self.readable(), "reading", _core.read, size)

    def readall(self) -> Any:
        """Read until the end; None if a non-blocking one has nothing yet."""
        parts = []
        while part := self.read(_PART):
            parts.append(part)
        return b"".join(parts) if parts else part

    def write(self, data: "ReadableBuffer", /) -> Any:
        """Write: how many bytes were; None if a non-blocking one has no room."""
        return self._try(self.writable(), "writing", _core.write, data)

    def _try(self, may: bool, what: str, call: Any, argument: Any) -> Any:
        if not may:
            raise io.UnsupportedOperation(f"File not open for {what}")
        try:
            return call(self.fileno(), argument)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close it; whoever waits on it is told, by OSError(EBADF)."""
        if not self.closed and self.closefd:
            _core.fd_forget(self.fileno())
        super().close()


def open_pipe(fd: int, mode: str, buffering: int = -1) -> IO[bytes]:
    """A binary file of a descriptor, as io.open() makes one.

    Switches: never. Threads: any. Raises OSError.
    """
    raw = PipeFile(fd, mode)
    if buffering == 0:
        return raw
    if buffering == 1:
        warnings.warn(_NO_LINES, RuntimeWarning, stacklevel=2)
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    return io.BufferedReader(raw, size) if raw.readable() else io.BufferedWriter(raw, size)
