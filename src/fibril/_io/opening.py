"""What a call of open() asks for: its arguments read once, and the file objects that it stands for.

The idea: a raw file, of whatever class serves it, in `io`'s own buffers and text. io.open makes its
raw files of one class only, so this does what it does for those of ours.
Do not add: what a raw file does.
"""

import io
import os
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["Opening"]

_BUFFERS = {"r": io.BufferedReader, "w": io.BufferedWriter, "+": io.BufferedRandom}


class Opening:
    """The arguments of open(), checked; `wrap` puts buffers and text around a raw file.

    file: a path, a descriptor, or a file object. The rest is as io.open has it; "U" may stand in
    the mode and means nothing.

    Switches: never. Threads: any. Raises TypeError and ValueError as io.open does.
    """

    def __init__(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
    ) -> None:
        self.file = file if hasattr(file, "fileno") or isinstance(file, int) else os.fspath(file)
        if not isinstance(mode, str):
            raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
        if not isinstance(buffering, int):
            raise TypeError(
                f"'{type(buffering).__name__}' object cannot be interpreted as an integer"
            )
        self.mode, self.buffering, self.closefd = mode.replace("U", ""), buffering, closefd
        if "U" in mode and not set(mode) & set("rwxa"):
            self.mode += "r"
        self.encoding, self.errors, self.newline = encoding, errors, newline
        self.is_binary = "b" in mode
        self._check(mode)

    def _check(self, mode: str) -> None:
        letters = set(mode)
        if letters - set("axrwb+tU") or len(mode) > len(letters):
            raise ValueError(f"invalid mode: {mode!r}")
        if letters >= set("bt"):
            raise ValueError("can't have text and binary mode at once")
        if len(letters & set("axrw")) != 1 and "U" not in letters:
            raise ValueError("must have exactly one of create/read/write/append mode")
        if "U" in letters and letters & set("axw+"):
            raise ValueError("mode U cannot be combined with 'x', 'w', 'a', or '+'")
        for name in ("encoding", "errors", "newline"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"open() argument '{name}' must be str or None, not {value!r}")
            if self.is_binary and value is not None:
                raise ValueError(f"binary mode doesn't take an {name} argument")

    @property
    def raw_mode(self) -> str:
        """Of the raw file.

        Switches: never. Threads: any.
        """
        return "".join(letter for letter in self.mode if letter not in "bt")

    @property
    def is_readable(self) -> bool:
        """Whether it may be read from.

        Switches: never. Threads: any.
        """
        return "r" in self.mode or "+" in self.mode

    def open(self, raw_class: Callable[..., io.RawIOBase]) -> Any:
        """The file object, on a raw file that is made for it.

        Switches: as opening the raw file does. Threads: any. Raises OSError, ValueError.
        """
        raw = raw_class(self.file, self.raw_mode, self.closefd)
        try:
            return self.wrap(raw)
        except BaseException:
            raw.close()
            raise

    def wrap(self, raw: Any) -> Any:
        """The file object, on something that has bytes: buffered and text, if it is not yet.

        Switches: never. Threads: any. Raises ValueError.
        """
        is_text = isinstance(raw, io.TextIOBase)
        if self.is_binary and is_text:
            raise ValueError("cannot read or write bytes of a file of text")
        is_by_line = self.buffering == 1 or (self.buffering < 0 and raw.isatty())
        if self.is_binary and self.buffering == 1:
            warnings.warn(
                "line buffering (buffering=1) isn't supported in binary mode, the default buffer "
                "size will be used",
                RuntimeWarning,
                stacklevel=4,
            )
        file = raw if is_text or self.buffering == 0 else self._buffer(raw)
        if self.is_binary or is_text:
            return file
        if file is raw and isinstance(raw, io.RawIOBase):
            raise ValueError("can't have unbuffered text I/O")
        file = io.TextIOWrapper(file, self.encoding, self.errors, self.newline, is_by_line)
        file.mode = self.mode  # type: ignore[misc]  # as io.open sets it
        return file

    def _buffer(self, raw: Any) -> Any:
        if isinstance(raw, io.BufferedIOBase):
            return raw
        size = self.buffering if self.buffering > 1 else _block_bytes(raw)
        kind = "+" if "+" in self.mode else "r" if "r" in self.mode else "w"
        return _BUFFERS[kind](raw, size)


def _block_bytes(raw: Any) -> int:
    try:
        size = os.fstat(raw.fileno()).st_blksize
    except (OSError, AttributeError):
        return io.DEFAULT_BUFFER_SIZE
    return size if size > 1 else io.DEFAULT_BUFFER_SIZE
