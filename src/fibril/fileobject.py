"""Files as objects that let other tasks run while they wait; also gevent's classes of that name.

The idea: the raw file is one whose read and write wait in the hub, or, for a file on a disk, in a
native thread; buffers and text around it are `io`'s own, in which tasks take turns. So `open` here
is the built-in one in all else. gevent's classes are thin: they hold such a file, and hand it what
they are asked for.

A descriptor stays a blocking one, for whoever shares it, unless the program made it non-blocking.
Do not add: kinds of files; how they wait is in fibril._io.disk and csrc/python/io/stream/.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from errno import EBADF
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fibril import _core
from fibril._io.disk import FileIO
from fibril._io.opening import Opening
from fibril._io.streams import take_turns
from fibril.config import config
from fibril.lock import DummySemaphore, Semaphore

if TYPE_CHECKING:
    import builtins
    from typing import Self

    from fibril.threadpool import ThreadPool

__all__ = [
    "FileObject",
    "FileObjectBase",
    "FileObjectBlock",
    "FileObjectClosed",
    "FileObjectPosix",
    "FileObjectThread",
    "open",
]

if TYPE_CHECKING:
    open = builtins.open  # with all its overloads
else:

    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        """The built-in open(), with a file that lets other tasks run while it waits.

        A file on a disk is read from memory at once where it is there; what waits for the disk does
        so in a native thread of `get_hub().threadpool`, in the order of the calls. A task that is
        killed, or whose time is over, in the middle of that meets it when the disk has answered. Of
        pipes, terminals and sockets the descriptor stays a blocking one. Several tasks may use one
        file: they take turns.

        Switches: if it must wait, as do the methods of what it returns. Threads: any. Raises as the
        built-in one: OSError, ValueError, TypeError.

        >>> from fibril import fileobject
        >>> with fileobject.open("/dev/null", "rb") as file:
        ...     file.read()
        b''
        """
        take_turns()
        opening = Opening(
            file,
            mode,
            buffering,
            encoding=encoding,
            errors=errors,
            newline=newline,
            closefd=closefd,
        )
        return opening.open(functools.partial(FileIO, opener=opener))


class FileObjectClosed(OSError):
    """What a file object's methods raise once it is closed."""

    def __init__(self) -> None:
        super().__init__(EBADF, "Bad file descriptor (the file object was closed)")


class _Closed:
    """Stands for the file of a file object that is closed; keeps its name only."""

    def __init__(self, file: Any) -> None:
        name = getattr(file, "name", None)
        if name is not None:
            self.name = name

    def __getattr__(self, name: str) -> Any:
        if name == "name":
            raise AttributeError(name)
        raise FileObjectClosed


class FileObjectBase:
    """What gevent's file objects have in common: a file, whose methods are theirs.

    fobj: a path, a descriptor, or a file object. mode, buffering, encoding, errors and newline are
    as open() has them; bufsize is another word for buffering, and close for closefd. closefd says
    whether closing this closes what it was given. atomic_write is accepted and means nothing: a
    write to a blocking descriptor writes all.

    Switches: if it must wait. Threads: any. Raises OSError, ValueError, TypeError; FileObjectClosed
    once it is closed.
    """

    def __init__(
        self,
        fobj: Any,
        mode: str = "r",
        bufsize: int | None = None,
        close: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        buffering: int | None = None,
        closefd: bool | None = None,
        atomic_write: bool = False,
    ) -> None:
        take_turns()
        size = _one_of("buffering", buffering, "bufsize", bufsize, -1)
        self._close = _one_of("closefd", closefd, "close", close, True)
        is_path = not hasattr(fobj, "fileno") and not isinstance(fobj, int)
        opening = Opening(
            fobj,
            mode,
            size,
            encoding=encoding,
            errors=errors,
            newline=newline,
            closefd=is_path or self._close,
        )
        self._io = self._open(opening)

    def _open(self, opening: Opening) -> Any:
        if hasattr(opening.file, "fileno"):
            return opening.wrap(opening.file)
        return opening.open(io.FileIO)

    @property
    def io(self) -> Any:
        """The file itself."""
        return self._io

    @io.setter
    def io(self, file: Any) -> None:
        self._io = file

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return isinstance(self._io, _Closed)

    def close(self) -> None:
        """Flush it, and close what it was given, unless closefd says otherwise. Once.

        Switches: if it must wait. Threads: any. Raises OSError.
        """
        if not self.closed:
            file = self._io
            self._io = _Closed(file)
            self._do_close(file, self._close)

    def _do_close(self, file: Any, is_closing: bool) -> None:
        if is_closing:
            file.close()
        elif file.writable():
            file.flush()

    def writeall(self, value: Any) -> int:
        """Write all of it, whatever a single write takes; how much that is.

        Switches: if it must wait. Threads: any. Raises OSError.
        """
        rest: Any = value
        while rest:
            rest = rest[self.write(rest) or 0 :]
        return len(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_io"], name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.__dict__["_io"])})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    next = __next__

    def __repr__(self) -> str:
        state = "closed" if self.closed else ""
        return f"<{type(self).__name__} at {id(self):#x} {state}_fobj={self._io!r}{self._extra()}>"

    def _extra(self) -> str:
        return ""


class FileObjectBlock(FileObjectBase):
    """A file as it is: its methods keep the native thread while they wait, if the file's do.

    Switches: as the file's methods do. Threads: any. Raises as FileObjectBase.
    """


class FileObjectPosix(FileObjectBase):
    """A pipe, terminal or socket whose waiting lets other tasks run; a file on a disk as well.

    `fileio` is the raw file. The descriptor stays a blocking one. Who waits in it while it is
    closed gets OSError (EBADF).

    Switches: if it must wait. Threads: any. Raises as FileObjectBase.

    >>> import os
    >>> from fibril.fileobject import FileObjectPosix
    >>> reader, writer = os.pipe()
    >>> with FileObjectPosix(writer, "wb") as file:
    ...     _ = file.write(b"hello")
    >>> with FileObjectPosix(reader, "rb") as file:
    ...     file.read()
    b'hello'
    """

    fileio: FileIO

    def _open(self, opening: Opening) -> Any:
        self._given = given = opening.file if hasattr(opening.file, "fileno") else None
        if given is None:
            return opening.open(self._keep)
        if opening.is_binary and isinstance(given, io.TextIOBase):
            raise ValueError("cannot read or write bytes of a file of text")
        if hasattr(given, "flush") and not getattr(given, "closed", False):
            given.flush()
        opening.file, opening.closefd = given.fileno(), False
        opened = opening.open(self._keep)
        if hasattr(given, "name"):
            self.fileio.name = given.name
        else:
            del (
                self.fileio.name
            )  # the descriptor's number, which the given file does not call itself
        return opened

    def _keep(self, *args: Any) -> FileIO:
        self.fileio = FileIO(*args)
        return self.fileio

    def _do_close(self, file: Any, is_closing: bool) -> None:
        given, self._given = self._given, None
        if given is None:
            super()._do_close(file, is_closing)
            return
        if is_closing and not file.writable():
            _core.fd_forget(self.fileio.fileno())
        file.close()  # which leaves the descriptor to who gave it
        if is_closing:
            given.close()

    def _extra(self) -> str:
        return f" fileio={getattr(self, 'fileio', None)!r}"


class FileObjectThread(FileObjectBase):
    """A file of any kind, whose methods are called in native threads, one at a time.

    lock: False: several at a time; or a semaphore that they take. threadpool: the pool; the hub's
    by default. A task that is killed does not end a call that has begun.

    Switches: always, but in a thread of the pool. Threads: any. Raises as FileObjectBase.
    """

    def __init__(
        self, *args: Any, lock: Any = True, threadpool: ThreadPool | None = None, **options: Any
    ) -> None:
        pool: Any = threadpool or _core.get_hub().threadpool  # type: ignore[attr-defined]
        self.threadpool: ThreadPool = pool
        self.lock: Any = Semaphore() if lock is True else lock or DummySemaphore()
        if not hasattr(self.lock, "__enter__"):
            raise TypeError(f"lock must be a Semaphore or a bool, not {type(lock).__name__}")
        super().__init__(*args, **options)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name not in _IN_THREADS:
            return found

        @functools.wraps(found)
        def in_thread(*args: Any, **kwargs: Any) -> Any:
            if self.closed:
                raise FileObjectClosed
            with self.lock:
                return self.threadpool.apply(found, args, kwargs)

        return in_thread

    def _do_close(self, file: Any, is_closing: bool) -> None:
        with self.lock:
            self.threadpool.apply(super()._do_close, (file, is_closing))

    def _extra(self) -> str:
        return f" threadpool={self.threadpool!r}"


_IN_THREADS = frozenset(
    [
        "flush",
        "read",
        "read1",
        "readall",
        "readinto",
        "readinto1",
        "readline",
        "readlines",
        "peek",
        "seek",
        "tell",
        "truncate",
        "write",
        "writelines",
    ]
)


def _one_of(name: str, value: Any, other_name: str, other: Any, default: Any) -> Any:
    """An argument that has two names."""
    if value is not None and other is not None:
        raise TypeError(f"cannot specify both {name}={value!r} and {other_name}={other!r}")
    return value if value is not None else default if other is None else other


FileObject: Any = config.fileobject
