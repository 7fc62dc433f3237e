"""A request's fields as gevent's handlers show them: an `http.client.HTTPMessage` with older names.

The idea: applications get fields from the environment, and few programs ask a handler for them. So
this is made when somebody asks, of a head that has been found in order.
Do not add: reading, or judging, fields (h1.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage, parse_headers
from typing import Any

__all__ = ["Message", "message_of", "read_message"]


class Message(HTTPMessage):
    """A request's fields: a mapping that keeps their order, and all of those with one name.

    Switches: never. Threads: any.
    """

    #: What is wrong with them; "" if nothing is.
    status = ""

    def getheader(self, name: str, default: Any = None) -> Any:
        """As get()."""
        return self.get(name, default)

    @property
    def headers(self) -> Iterator[str]:
        """The lines."""
        for name, value in self.items():
            yield f"{name}: {value}\r\n"

    @property
    def typeheader(self) -> str | None:
        """The Content-Type, or None."""
        return self.get("content-type")


def message_of(head: bytes) -> Message:
    """The fields of a head that is in order.

    Switches: never. Threads: any.

    >>> from fibril.http.message import message_of
    >>> message_of(b"GET / HTTP/1.1\\r\\nHost: me.invalid\\r\\n\\r\\n")["host"]
    'me.invalid'
    """
    message = Message()
    for line in head.decode("latin-1").split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        message[name] = value.strip(" \t")
    return message


def read_message(file: Any, *unused: Any) -> Message:
    """Fields from a file, up to the empty line, however they are written.

    Switches: if it must wait. Threads: any.
    """
    try:
        message: Message = parse_headers(file, _class=Message)
    except HTTPException as error:
        message = Message()
        message.status = str(error) or type(error).__name__
    return message
