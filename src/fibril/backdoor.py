"""A prompt of Python in a running program, for whoever connects.

The idea: each connection is a task that runs the standard library's `InteractiveConsole`, reading
and writing the connection. `sys.stdin`, `stdout` and `stderr` are the connection's in this task,
and in no other (fibril._io.task_streams says how, and why so). A second task reads what is typed,
so Ctrl-C reaches code that waits.

Invariants: a session ends with its connection, its `exit()` or the server's stop, and takes nothing
else with it. What it leaves in its namespace, and `_`, is its own.
Do not add: passwords. Who may connect may do all that the program may: listen on 127.0.0.1, or on a
path in a folder of yours.
"""

from __future__ import annotations

import builtins
import code
import io
import sys
import traceback
from types import CodeType, ModuleType
from typing import Any

from fibril import _core
from fibril import socket as _socket
from fibril._core import spawn
from fibril._io.task_streams import Streams, own_streams, stand_in
from fibril.errors import GreenletExit
from fibril.pool import Pool
from fibril.queue import SimpleQueue
from fibril.server import StreamServer

__all__ = ["BackdoorServer"]

_INTERRUPT, _END = object(), object()  # what may be read instead of a line
_IAC, _SUBNEGOTIATION, _END_OF_IT = 255, 250, 240  # telnet's commands begin with the first
_INTERRUPTS = {243, 244}  # Break and Interrupt Process
_WITH_OPTION = range(251, 255)  # will, won't, do, don't
_CTRL_C, _CTRL_D = 3, 4


class BackdoorServer(StreamServer):
    """A server that gives whoever connects a prompt of Python in this program.

    listener: as for StreamServer. locals: a dict of what sessions begin with; each has a copy.
    banner: what is said first; by default the version of Python. server_args: StreamServer's.

    Each session has `sys.stdin`, `sys.stdout`, `sys.stderr` and `_` of its own; tasks that it
    starts have the program's. `exit()` or the end of the input ends it; Ctrl-C, as a byte or as
    telnet sends it, interrupts what it waits for.

    Whoever can connect can do what the program can.

    Switches: never, as StreamServer; stop() and serve_forever() if they must wait.
    Threads: owner; stop() and close() from any. Raises as StreamServer.

    >>> from fibril import socket
    >>> from fibril.backdoor import BackdoorServer
    >>> with BackdoorServer(("127.0.0.1", 0), {"answer": 42}, banner="hello") as server:
    ...     server.start()
    ...     with socket.create_connection(server.address) as client:
    ...         client.sendall(b"print(answer)\\n")
    ...         client.shutdown(socket.SHUT_WR)
    ...         client.makefile().read().split()
    ['hello', '>>>', '42', '>>>']
    """

    def __init__(
        self,
        listener: Any,
        locals: dict[str, Any] | None = None,
        banner: str | None = None,
        **server_args: Any,
    ) -> None:
        server_args.setdefault("spawn", Pool())  # so that stop() ends sessions
        super().__init__(listener, **server_args)
        self.locals = {"__doc__": None, "__name__": "__console__", **(locals or {})}
        self.banner = banner

    def _create_interactive_locals(self) -> dict[str, Any]:
        """The namespace of a new session; for subclasses to add to."""
        own = ModuleType("builtins", builtins.__doc__)  # so that `_` is the session's
        vars(own).update(vars(builtins))
        vars(own).pop("_", None)
        return {**self.locals, "builtins": builtins, "__builtins__": own}

    def handle(self, conn: Any, _address: Any) -> None:
        """Serve a session to its end.

        Switches: always. Threads: owner.
        """
        if conn.family in (_socket.AF_INET, _socket.AF_INET6):
            conn.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)  # prompts are short
        session = _Session(conn, self._create_interactive_locals())
        reader = spawn(session.read, conn)
        try:
            with own_streams(session.streams()):
                session.serve(_default_banner() if self.banner is None else self.banner)
        except OSError:  # of the connection: the client is gone
            pass
        except BaseException:
            _cut(conn)  # else a client that does not read would keep us from ending
            raise
        finally:
            reader.kill(block=False)
            session.close()


def _cut(connection: Any) -> None:
    try:
        connection.shutdown(_socket.SHUT_RDWR)
    except OSError:  # it is already
        pass


def _default_banner() -> str:
    return (
        f"Python {sys.version} on {sys.platform}\n"
        'Type "help", "copyright", "credits" or "license" for more information.'
    )


class _Session(code.InteractiveConsole):
    """One connection: the console, and what it reads and writes."""

    def __init__(self, connection: Any, namespace: dict[str, Any]) -> None:
        super().__init__(namespace)
        self._task = _core.getcurrent()
        self._is_running = False  # code of the user's: Ctrl-C is thrown at it
        self._typed: SimpleQueue[Any] = SimpleQueue()
        self._has_ended = False
        self._output = connection.makefile(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        )
        self._output.reconfigure(line_buffering=True)

    def streams(self) -> Streams:
        """What sys has in this task."""
        return Streams(_Input(self), self._output, self._output, self._display)

    def close(self) -> None:
        """Write what is left, if anybody reads it."""
        try:
            self._output.close()
        except (OSError, ValueError):  # the client is gone
            pass

    # ---- the loop ----

    def serve(self, banner: str) -> None:
        """Read and run until the input ends, or the user ends it."""
        self.write(f"{banner}\n")
        is_unfinished = False
        while not self._output.closed:
            try:
                line = self._ask("... " if is_unfinished else ">>> ")
                if line is None:
                    return
                is_unfinished = self.push(line)
            except KeyboardInterrupt:
                self.write("\nKeyboardInterrupt\n")
                self.resetbuffer()
                is_unfinished = False
            except SystemExit:
                return

    def _ask(self, prompt: str) -> str | None:
        self.write(prompt)
        self._output.flush()
        line = self.read_line()
        return line.removesuffix("\n") if line else None

    def write(self, data: str) -> None:
        """Say something to the user."""
        self._output.write(data)

    def runcode(self, code: CodeType) -> None:
        """Run what was typed; its errors are the user's to see, its exit ends the session."""
        stand_in()
        self._is_running = True
        try:
            exec(code, self.locals)
        except (SystemExit, GreenletExit):
            raise
        except BaseException as error:
            self._is_running = False
            trace = error.__traceback__ and error.__traceback__.tb_next  # without us
            self.write("".join(traceback.format_exception(error.with_traceback(trace))))
        finally:
            self._is_running = False

    def _display(self, value: object) -> None:
        """What an expression gave, which is `_` then."""
        if value is None:
            return
        own: Any = self.locals["__builtins__"]
        names = own if isinstance(own, dict) else vars(own)
        names["_"] = None  # as the interpreter does: a repr() may look at it
        self.write(f"{value!r}\n")
        names["_"] = value

    # ---- what is typed ----

    def read_line(self) -> str:
        """The next line, with its end; "" at the end of the input.

        Raises KeyboardInterrupt if that is what was typed.
        """
        if self._has_ended:
            return ""
        line = self._typed.get()
        if line is _INTERRUPT:
            raise KeyboardInterrupt
        if line is _END:
            self._has_ended = True
            return ""
        return str(line)

    def read(self, connection: Any) -> None:
        """In a task of its own: take what arrives apart until it ends.

        Nothing limits how much: who is connected may do worse.
        """
        typed = _Typed()
        try:
            while data := connection.recv(4096):
                self._take(typed.feed(data))
        except OSError:  # reset, or closed by the session
            pass
        finally:
            self._take([*typed.rest(), _END])

    def _take(self, typed: list[Any]) -> None:
        for each in typed:
            if each is _INTERRUPT and self._is_running:
                _core.throw_later(self._task, KeyboardInterrupt())
            else:
                self._typed.put(each)


class _Typed:
    """Takes bytes apart into lines, interrupts and ends; leaves telnet's commands out."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._command = bytearray()  # of telnet, unfinished

    def feed(self, data: bytes) -> list[Any]:
        """What these bytes complete: lines as str, _INTERRUPT, _END."""
        found: list[Any] = []
        for byte in data:
            if self._command or byte == _IAC:
                if self._is_interrupt(byte):
                    self._line.clear()
                    found.append(_INTERRUPT)
            elif byte == _CTRL_C:
                self._line.clear()
                found.append(_INTERRUPT)
            elif byte == _CTRL_D and not self._line:
                found.append(_END)
            elif byte != 0:  # telnet's carriage return may have one behind it
                self._line.append(byte)
                if byte == ord("\n"):
                    found.append(self._take_line())
        return found

    def rest(self) -> list[str]:
        """At the end of the input: the line that was begun, if one was."""
        return [self._take_line()] if self._line else []

    def _take_line(self) -> str:
        line = bytes(self._line).decode(errors="replace")
        self._line.clear()
        return line.removesuffix("\n").removesuffix("\r") + "\n"

    def _is_interrupt(self, byte: int) -> bool:
        """One more byte of a command: does it complete one that interrupts?"""
        command = self._command
        command.append(byte)
        if len(command) == 1:
            return False
        if command[1] == _SUBNEGOTIATION:
            is_complete = command[-2:] == bytes([_IAC, _END_OF_IT])
        else:
            is_complete = len(command) == (3 if command[1] in _WITH_OPTION else 2)
        if is_complete:
            command.clear()
        return is_complete and byte in _INTERRUPTS


class _Input(io.TextIOBase):
    """sys.stdin of a session: the lines that are typed."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, session: _Session) -> None:
        self._session = session

    def readable(self) -> bool:
        return True

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """The next line, whole; "" at the end."""
        self._checkClosed()
        return self._session.read_line()

    def read(self, size: int | None = -1, /) -> str:
        """All that is typed until the end of the input."""
        return "".join(iter(self.readline, ""))


def main(arguments: list[str] | None = None) -> int:
    """`python -m fibril.backdoor PORT [BANNER]`: a program that is nothing but a backdoor.

    Switches: always. Threads: owner.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or not arguments[0].isdecimal():
        print("usage: python -m fibril.backdoor PORT [BANNER]", file=sys.stderr)
        return 2
    server = BackdoorServer(
        ("127.0.0.1", int(arguments[0])), {"hello": "world"}, " ".join(arguments[1:]) or None
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
