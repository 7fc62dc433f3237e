"""Heads of HTTP/1 requests: httptools reads them; what could be read in two ways is refused here.

The idea: a head is read in one piece, once all of it has come. httptools (llhttp) says whether it
is well-formed. What llhttp lets pass, but a proxy in front of us may have understood otherwise, is
refused: that is how requests are smuggled. Nobody needs such requests, so nothing is repaired.

Invariants: of an accepted head each line ends in CRLF, and is a field of its own. There is one
Host at the most; with HTTP/1.1, one. The body's length is told once, by Content-Length or by
chunks. The number of fields says whether one came twice, so fields go from C into a dict, without a
call of Python's for each; only who sends one twice has the lines looked at one by one.

Threads: any; a parser is in one thread's hands while it is fed.
Do not add: waiting for bytes (reader.py), bodies (body.py), what applications see (environ.py).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = [
    "FIELDS_MAX",
    "HEAD_BYTES_MAX",
    "LINE_BYTES_MAX",
    "Head",
    "InvalidClientRequest",
    "key_of",
    "parse",
    "require_parser",
]

#: The request's line, in bytes: method, target and version. A longer one is answered with 414.
LINE_BYTES_MAX = 8192
#: All of a head. A longer one, or one of more fields than this, is answered with 431.
HEAD_BYTES_MAX = 65536
FIELDS_MAX = 100


class InvalidClientRequest(ValueError):
    """The client has sent a request that is refused; `status` is the answer's: 400, 431 …"""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.formatted_message = message
        self.status = status


class Head(NamedTuple):
    """What a request says before its body; the fields by the names that CGI gives them."""

    line: str
    method: str
    target: str
    version: str
    fields: dict[str, str]
    content_length: int | None = None
    is_chunked: bool = False
    is_last: bool = False  # the client wants the connection to be closed after the answer
    expects_continue: bool = False
    is_upgrade: bool = False  # it would rather speak another protocol


# ---- httptools ----

_httptools: Any = None


def require_parser() -> None:
    """Import httptools, or say what to install.

    It is imported when a server is made: programs import this module, or gevent's, without one.

    Switches: never. Threads: any. Raises ImportError.
    """
    global _httptools
    if _httptools is None:
        try:
            import httptools
        except ImportError:
            raise ImportError(
                "cannot serve HTTP: httptools, which reads the requests, is not installed. Install "
                "it by `pip install 'fibril[wsgi]'`.",
                name="httptools",
            ) from None
        _httptools = httptools


class _Parser:
    """One of httptools' parsers, and the fields of the head that it was fed.

    It keeps the first of two fields with the same name.
    """

    __slots__ = ("feed", "fields", "on_header")

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.on_header = self.fields.setdefault
        self.feed = _httptools.HttpRequestParser(self).feed_data


# Those that have read a request without a body, and so are at the beginning of another one. No task
# switches while it has one, so there are as many as native threads that serve.
_idle_parsers: list[_Parser] = []


def parse(head: bytes, line_bytes_max: int = LINE_BYTES_MAX) -> Head:
    """Read a head, from the first letter of its method to the empty line.

    line_bytes_max: of how many bytes on its first line is too long.

    Switches: never. Threads: any. Raises InvalidClientRequest.

    >>> from fibril.http import h1
    >>> h1.require_parser()
    >>> h1.parse(b"GET /page HTTP/1.1\\r\\nHost: me.invalid\\r\\n\\r\\n").fields
    {'HTTP_HOST': 'me.invalid'}
    """
    try:
        parser = _idle_parsers.pop()
    except IndexError:
        parser = _Parser()
    try:
        parser.feed(head)
    except _httptools.HttpParserUpgrade:
        pass  # of what follows the head it has been told nothing
    except _httptools.HttpParserError as error:
        if head.find(b"\r\n") < line_bytes_max:
            parser = _reread(head, error)
    line = head[: head.index(b"\r\n")].decode("latin-1")
    if len(line) >= line_bytes_max:
        raise InvalidClientRequest("the request's line is too long", 414)
    line_count = head.count(b"\r\n")
    if head.count(b"\n") != line_count or head.count(b"\r") != line_count:
        raise InvalidClientRequest("a carriage return or a line feed stands alone")
    fields = _fields_of(parser.fields, line_count - 2, head)  # but the first, the last
    method, target, version = _split(line, fields)
    read = Head(line, method, target, version, fields)
    if version != "HTTP/1.1" or method == "CONNECT" or not _SPECIAL.isdisjoint(fields):
        read = _special(read)
        if not _is_parser_idle(read):
            return read
    parser.fields.clear()
    _idle_parsers.append(parser)
    return read


def _reread(head: bytes, error: Exception) -> _Parser:
    """The parser that has read a head in which another one has found a fault.

    Targets with bytes that are no ASCII are none, but clients send what people type. A byte of that
    kind means nothing to anybody who reads requests, so it may as well be a letter.
    """
    line, separator, rest = head.partition(b"\r\n")
    if not line.isascii():
        parser = _Parser()
        try:
            parser.feed(bytes(byte if byte < 128 else 120 for byte in line) + separator + rest)
            return parser
        except _httptools.HttpParserUpgrade:
            return parser
        except _httptools.HttpParserError:
            pass
    raise InvalidClientRequest(f"malformed: {error}") from None


def _is_parser_idle(read: Head) -> bool:
    """Does the parser wait for another request now, and not for a body, or for nothing more?"""
    if read.is_chunked or read.content_length or read.is_last or read.is_upgrade:
        return False
    return read.version == "HTTP/1.1" and "HTTP_UPGRADE" not in read.fields


# ---- the request's line ----

_VERSIONS = frozenset(["HTTP/1.1", "HTTP/1.0"])
_AUTHORITY = re.compile(r"[!$&'()*+,\-.0-9:;=A-Z\[\]_a-z~%]+")


def _split(line: str, fields: dict[str, str]) -> tuple[str, str, str]:
    """Method, target and version; the host is the target's, if that names one."""
    words = line.split(" ")
    if len(words) != 3:
        raise InvalidClientRequest("the request's line is not of three words")
    method, target, version = words
    if version not in _VERSIONS:
        raise InvalidClientRequest("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)
    host = fields.get("HTTP_HOST")
    if host is None:
        if version == "HTTP/1.1":
            raise InvalidClientRequest("HTTP/1.1 without a Host")
    elif host and not _AUTHORITY.fullmatch(host):
        raise InvalidClientRequest("the Host is none")
    if not target.startswith("/"):
        _check_form(method, target, fields)
    return method, target, version


def _check_form(method: str, target: str, fields: dict[str, str]) -> None:
    """A target that is not a path: of CONNECT, OPTIONS *, or what a proxy is asked for."""
    if method == "CONNECT":
        is_right = _AUTHORITY.fullmatch(target) is not None
    elif target == "*":
        is_right = method == "OPTIONS"
    else:
        scheme, _, rest = target.partition("://")
        authority = re.split("[/?]", rest, maxsplit=1)[0]
        is_right = scheme.lower() in ("http", "https") and bool(_AUTHORITY.fullmatch(authority))
        fields["HTTP_HOST"] = authority  # RFC 9112, 3.2.2: whatever Host says
    if not is_right:
        raise InvalidClientRequest("the request's target is none")


# ---- fields ----

_DROPPED = ""
_KEYS_MAX, _KEY_BYTES_MAX = 1024, 64
_KEYS: dict[bytes, str] = {}  # as clients write them → as CGI names them; _DROPPED: left out
_WITHOUT_PREFIX = frozenset(["CONTENT_TYPE", "CONTENT_LENGTH"])


def key_of(name: bytes) -> str:
    """CGI's name of a field; "" for one with an underscore, which would be taken for a dash.

    Switches: never. Threads: any.
    """
    key = name.decode("latin-1").upper().replace("-", "_")
    if b"_" in name:
        key = _DROPPED
    elif key not in _WITHOUT_PREFIX:
        key = f"HTTP_{key}"
    if len(_KEYS) < _KEYS_MAX and len(name) <= _KEY_BYTES_MAX:  # clients may send any
        _KEYS[name] = key
    return key


def _fields_of(raw: dict[bytes, bytes], line_count: int, head: bytes) -> dict[str, str]:
    """The fields as text, by CGI's names."""
    if len(raw) != line_count or line_count > FIELDS_MAX:
        return _fields_of_lines(head)
    fields = {}
    for name, value in raw.items():
        key = _KEYS.get(name)
        if key is None:
            key = key_of(name)
        if key in fields:  # Host and host
            return _fields_of_lines(head)
        fields[key] = value.decode("latin-1").strip(" \t")
    fields.pop(_DROPPED, None)
    return fields


# Two of these would be two requests: one for us, and one for who looks at the other.
_ONCE = frozenset(["HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"])


def _fields_of_lines(head: bytes) -> dict[str, str]:
    """The fields of a head in which httptools has found no fault, one by one."""
    lines = head[:-4].split(b"\r\n")[1:]
    if len(lines) > FIELDS_MAX:
        raise InvalidClientRequest(f"more than {FIELDS_MAX} fields", 431)
    fields: dict[str, str] = {}
    for line in lines:
        if line[:1] in b" \t":
            raise InvalidClientRequest("a field goes on in another line")
        name, _, text = line.partition(b":")
        key, value = key_of(name), text.decode("latin-1").strip(" \t")
        if key not in fields or key == _DROPPED:
            fields[key] = value
        elif key in _ONCE:
            raise InvalidClientRequest("a field came twice that may come once")
        else:
            fields[key] += ("; " if "COOKIE" in key else ",") + value
    fields.pop(_DROPPED, None)
    return fields


# ---- fields that mean something for the connection ----

_SPECIAL = frozenset(
    [
        "CONTENT_LENGTH",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_CONNECTION",
        "HTTP_EXPECT",
        "HTTP_UPGRADE",
    ]
)
_DIGITS = re.compile("[0-9]{1,18}")


def _special(read: Head) -> Head:
    """The head, with what its fields say of the connection."""
    fields, is_old = read.fields, read.version == "HTTP/1.0"
    options = {word.strip(" \t").lower() for word in fields.get("HTTP_CONNECTION", "").split(",")}
    return read._replace(
        content_length=_length_of(fields),
        is_chunked=_is_chunked(fields, is_old),
        is_last="close" in options or (is_old and "keep-alive" not in options),
        expects_continue=_expects_continue(fields, is_old),
        is_upgrade=read.method == "CONNECT" or _is_upgrade(fields, options),
    )


def _is_upgrade(fields: dict[str, str], options: set[str]) -> bool:
    """Is it another protocol from here on? HTTP/2 is only asked for, perhaps with a body."""
    protocol = fields.get("HTTP_UPGRADE", "").lower()
    if "CONTENT_LENGTH" in fields or "HTTP_TRANSFER_ENCODING" in fields or protocol == "h2c":
        return False
    return "upgrade" in options or protocol == "websocket"


def _length_of(fields: dict[str, str]) -> int | None:
    length = fields.get("CONTENT_LENGTH")
    if length is None:
        return None
    if not _DIGITS.fullmatch(length):
        raise InvalidClientRequest("the Content-Length is none")
    return int(length)


def _is_chunked(fields: dict[str, str], is_old: bool) -> bool:
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    if coding is None:
        return False
    if is_old or "CONTENT_LENGTH" in fields:
        raise InvalidClientRequest("a Transfer-Encoding with a Content-Length, or HTTP/1.0")
    if coding.lower() != "chunked":
        raise InvalidClientRequest("a Transfer-Encoding other than chunked", 501)
    return True


def _expects_continue(fields: dict[str, str], is_old: bool) -> bool:
    expected = fields.get("HTTP_EXPECT")
    if expected is None or is_old:
        return False
    if expected.lower() != "100-continue":
        raise InvalidClientRequest("an Expect other than 100-continue", 417)
    return True
