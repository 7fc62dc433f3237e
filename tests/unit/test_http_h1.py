"""fibril.http.h1: heads that are read, and those that are refused for having two meanings."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fibril.http import h1
from fibril.http.h1 import Head, InvalidClientRequest, parse

h1.require_parser()

HOST = b"Host: me.invalid\r\n"


def head(fields: bytes = HOST, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


def refusal(data: bytes) -> int | None:
    """The status that it is answered with, or None."""
    try:
        parse(data)
    except InvalidClientRequest as error:
        return error.status
    return None


# ---- what is read ----


def test_a_head_is_read_into_its_parts() -> None:
    read = parse(head(HOST + b"Accept: text/html\r\nX-Count:  3 \t\r\n", b"GET /a?b=c HTTP/1.1"))
    fields = {"HTTP_HOST": "me.invalid", "HTTP_ACCEPT": "text/html", "HTTP_X_COUNT": "3"}
    assert read == Head("GET /a?b=c HTTP/1.1", "GET", "/a?b=c", "HTTP/1.1", fields)


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        (b"Content-Type: text/plain\r\n", "CONTENT_TYPE", "text/plain"),
        (b"Content-Length: 12\r\n", "CONTENT_LENGTH", "12"),
        (b"Cookie: a=1\r\nCookie: b=2\r\n", "HTTP_COOKIE", "a=1; b=2"),
        (b"Accept: a\r\naccept: b\r\n", "HTTP_ACCEPT", "a,b"),
        (b"Accept: a\r\nAccept: b\r\nX: 1\r\n", "HTTP_ACCEPT", "a,b"),
        (b"X-Latin: caf\xe9\r\n", "HTTP_X_LATIN", "caf\xe9"),
        (b"X-Empty:\r\n", "HTTP_X_EMPTY", ""),
        (b"X_Y: 1\r\n", "HTTP_X_Y", None),
        (b"X-Y: 2\r\nX_Y: 1\r\n", "HTTP_X_Y", "2"),
        (b"X_Y: 1\r\nX_Y: 1\r\n", "HTTP_X_Y", None),
    ],
)
def test_fields_have_cgi_names_and_one_value(fields: bytes, key: str, value: str | None) -> None:
    read = parse(head(HOST + fields)).fields
    assert read.get(key) == value
    assert "" not in read


@pytest.mark.parametrize(
    ("line", "fields", "known"),
    [
        (b"GET / HTTP/1.1", b"", {}),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", {"is_last": True}),
        (b"GET / HTTP/1.1", b"Connection: Foo, CLOSE\r\n", {"is_last": True}),
        (b"GET / HTTP/1.1", b"Connection: keep-alive\r\n", {}),
        (b"GET / HTTP/1.0", b"", {"is_last": True}),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", {}),
        (b"POST / HTTP/1.1", b"Content-Length: 5\r\n", {"content_length": 5}),
        (b"POST / HTTP/1.1", b"Content-Length: 0\r\n", {"content_length": 0}),
        (b"POST / HTTP/1.1", b"Transfer-Encoding: Chunked\r\n", {"is_chunked": True}),
        (
            b"POST / HTTP/1.1",
            b"Content-Length: 5\r\nExpect: 100-Continue\r\n",
            {"content_length": 5, "expects_continue": True},
        ),
        (b"GET / HTTP/1.0", b"Expect: 100-continue\r\n", {"is_last": True}),
        (
            b"GET / HTTP/1.1",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            {"is_upgrade": True},
        ),
        (b"GET / HTTP/1.1", b"Upgrade: other\r\n", {}),
        (b"GET / HTTP/1.1", b"Upgrade: WebSocket\r\n", {"is_upgrade": True}),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\n", {"is_upgrade": True}),
        (b"GET / HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", {}),
        (
            b"POST / HTTP/1.1",
            b"Connection: Upgrade\r\nUpgrade: other\r\nContent-Length: 5\r\n",
            {"content_length": 5},
        ),
        (b"CONNECT me.invalid:80 HTTP/1.1", b"", {"is_upgrade": True}),
    ],
)
def test_what_fields_say_of_the_connection(
    line: bytes, fields: bytes, known: dict[str, Any]
) -> None:
    read = parse(head(HOST + fields, line))
    usual: dict[str, Any] = {
        "content_length": None,
        "is_chunked": False,
        "is_last": False,
        "expects_continue": False,
        "is_upgrade": False,
    }
    assert {key: getattr(read, key) for key in usual} == {**usual, **known}


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://other.invalid/a", "other.invalid"),
        (b"HTTPS://other.invalid:8080?a", "other.invalid:8080"),
    ],
)
def test_a_proxys_target_names_the_host(target: bytes, host: str) -> None:
    assert parse(head(line=b"GET " + target + b" HTTP/1.1")).fields["HTTP_HOST"] == host


def test_a_head_after_any_other_is_read_as_if_it_were_the_first() -> None:
    usual = parse(head())
    for fields in (b"Content-Length: 3\r\n", b"Connection: close\r\n", b"Bad Name: 1\r\n"):
        refusal(head(HOST + fields, b"POST / HTTP/1.1"))
        refusal(head(HOST + b"Upgrade: x\r\nConnection: upgrade\r\n" + fields))
        refusal(head(HOST + b"Upgrade: h2c\r\nConnection: upgrade\r\n"))
        refusal(head(HOST + b"Upgrade: x\r\n"))
        refusal(head(HOST + b"Connection: upgrade\r\n"))
        assert parse(head()) == usual


def test_names_of_fields_that_clients_make_up_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h1, "_KEYS", {})
    for number in range(2000):
        assert parse(head(HOST + b"X-%d: 1\r\n" % number)).fields[f"HTTP_X_{number}"] == "1"
    parse(head(HOST + b"X" * 1000 + b": 1\r\n"))
    assert len(h1._KEYS) <= 1024
    assert max(map(len, h1._KEYS)) <= 64


# ---- what is refused ----

REFUSED = {
    "no words": (b"\x16\x03\x01\r\n\r\n", 400),
    "one word": (b"garbage\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/0.9, named": (head(line=b"GET / HTTP/0.9"), 505),
    "HTTP/2": (head(line=b"GET / HTTP/2.0"), 505),
    "HTTP/1.2": (head(line=b"GET / HTTP/1.2"), 400),
    "HTTP/1.10": (head(line=b"GET / HTTP/1.10"), 400),
    "http in small letters": (head(line=b"GET / http/1.1"), 400),
    "two spaces": (head(line=b"GET  / HTTP/1.1"), 400),
    "two spaces behind": (head(line=b"GET /  HTTP/1.1"), 400),
    "a space at the end": (head(line=b"GET / HTTP/1.1 "), 400),
    "a tab": (head(line=b"GET\t/ HTTP/1.1"), 400),
    "a space in the target": (head(line=b"GET /a b HTTP/1.1"), 400),
    "a method in small letters": (head(line=b"get / HTTP/1.1"), 400),
    "a space before it": (head(line=b" GET / HTTP/1.1"), 400),
    "no slash": (head(line=b"GET page HTTP/1.1"), 400),
    "a star for GET": (head(line=b"GET * HTTP/1.1"), 400),
    "another scheme": (head(line=b"GET ftp://me.invalid/ HTTP/1.1"), 400),
    "a user in the target": (head(line=b"GET http://a@me.invalid/ HTTP/1.1"), 400),
    "NUL in the target": (head(line=b"GET /\0 HTTP/1.1"), 400),
    "no Host": (head(b""), 400),
    "two Hosts": (head(HOST + HOST), 400),
    "two Hosts, other letters": (head(HOST + b"HOST: other.invalid\r\n"), 400),
    "a Host with a path": (head(b"Host: me.invalid/a\r\n"), 400),
    "a Host with a space": (head(b"Host: me invalid\r\n"), 400),
    "a Host with a user": (head(b"Host: a@me.invalid\r\n"), 400),
    "a line feed alone ends the line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
    "a line feed alone ends a field": (head(b"Host: me.invalid\nX: 1\r\n"), 400),
    "line feeds alone at the end": (b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\n\r\n\r\n", 400),
    "a return alone in a value": (head(HOST + b"X: a\rb\r\n"), 400),
    "a return alone in a name": (head(HOST + b"X\r: a\r\n"), 400),
    "two returns": (head(HOST + b"X: a\r\r\n"), 400),
    "NUL in a value": (head(HOST + b"X: a\0b\r\n"), 400),
    "NUL in a name": (head(HOST + b"X\0: a\r\n"), 400),
    "DEL in a value": (head(HOST + b"X: a\x7fb\r\n"), 400),
    "a control byte in a value": (head(HOST + b"X: a\x01b\r\n"), 400),
    "a field in two lines": (head(HOST + b"X: a\r\n b\r\n"), 400),
    "a field in two lines, a tab": (head(HOST + b"X: a\r\n\tb\r\n"), 400),
    "an empty line of a field": (head(HOST + b"X: a\r\n \r\n"), 400),
    "a first field that begins with a space": (head(b" " + HOST), 400),
    "a space before the colon": (head(HOST + b"X : a\r\n"), 400),
    "a tab before the colon": (head(HOST + b"X\t: a\r\n"), 400),
    "no colon": (head(HOST + b"X\r\n"), 400),
    "no name": (head(HOST + b": a\r\n"), 400),
    "a space in a name": (head(HOST + b"X Y: a\r\n"), 400),
    "a quote in a name": (head(HOST + b'"X": a\r\n'), 400),
    "another letter in a name": (head(HOST + b"X\xe9: a\r\n"), 400),
    "Content-Length twice": (head(HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
    "the same twice": (head(HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
    "twice, other letters": (head(HOST + b"Content-Length: 5\r\ncontent-length: 5\r\n"), 400),
    "two in one": (head(HOST + b"Content-Length: 5, 5\r\n"), 400),
    "less than nothing": (head(HOST + b"Content-Length: -1\r\n"), 400),
    "with a sign": (head(HOST + b"Content-Length: +5\r\n"), 400),
    "no number": (head(HOST + b"Content-Length: five\r\n"), 400),
    "a number of another base": (head(HOST + b"Content-Length: 0x5\r\n"), 400),
    "with an underscore": (head(HOST + b"Content-Length: 1_0\r\n"), 400),
    "with a space within": (head(HOST + b"Content-Length: 1 0\r\n"), 400),
    "digits of another script": (head(HOST + b"Content-Length: \xb2\r\n"), 400),
    "an empty one": (head(HOST + b"Content-Length:\r\n"), 400),
    "an absurd one": (head(HOST + b"Content-Length: " + b"9" * 30 + b"\r\n"), 400),
    "a length and chunks": (
        head(HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"POST / HTTP/1.1"),
        400,
    ),
    "chunks and a length": (
        head(HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"POST / HTTP/1.1"),
        400,
    ),
    "chunks with HTTP/1.0": (head(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"), 400),
    "a coding twice": (
        head(HOST + b"Transfer-Encoding: chunked\r\n" * 2, b"POST / HTTP/1.1"),
        400,
    ),
    "an Expect of something else": (head(HOST + b"Expect: 200-ok\r\n"), 417),
    "too many fields": (head(HOST + b"".join(b"X-%d: 1\r\n" % i for i in range(100))), 431),
    "too many of one name": (head(HOST + b"X: 1\r\n" * 100), 431),
    "a long line": (head(line=b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414),
    "a long line, malformed": (head(line=b"GET /" + b"a" * 8192 + b" HTTP/7.7"), 414),
}


@pytest.mark.parametrize("what", REFUSED)
def test_heads_with_two_meanings_are_refused(what: str) -> None:
    data, status = REFUSED[what]
    assert refusal(data) == status


@pytest.mark.parametrize(
    "coding", [b"gzip", b"gzip, chunked", b"chunked, gzip", b"identity", b"xchunked", b"chunked;a"]
)
def test_other_codings_than_chunked_are_refused(coding: bytes) -> None:
    fields = HOST + b"Transfer-Encoding: " + coding + b"\r\n"
    assert refusal(head(fields, b"POST / HTTP/1.1")) in (400, 501)


def test_a_hundred_fields_are_read() -> None:
    read = parse(head(HOST + b"".join(b"X-%d: 1\r\n" % i for i in range(99))))
    assert len(read.fields) == 100


# ---- any bytes ----

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
STRICT = re.compile(
    rb"([A-Z-]+) ([!-~\x80-\xff]+) HTTP/1\.([01])\r\n((?:"
    + TOKEN
    + rb":[\t -~\x80-\xff]*\r\n)*)\r\n"
)


def check_against_the_grammar(data: bytes) -> None:
    """What is read is what the grammar of RFC 9112 says, and nothing else is read."""
    try:
        read = parse(data)
    except InvalidClientRequest:
        return
    match = STRICT.fullmatch(data)
    assert match is not None
    assert (read.method, read.target) == (match[1].decode(), match[2].decode("latin-1"))
    assert read.version == f"HTTP/1.{match[3].decode()}"
    lines = match[4].split(b"\r\n")[:-1]
    pairs = [(line.split(b":", 1)[0].lower(), line.split(b":", 1)[1].strip()) for line in lines]
    names = [name for name, _ in pairs]
    for name in (b"host", b"content-length", b"transfer-encoding"):
        assert names.count(name) <= 1
    length = dict(pairs).get(b"content-length")
    assert read.content_length == (None if length is None else int(length))
    assert read.is_chunked == (b"transfer-encoding" in names)
    assert not (read.is_chunked and length is not None)
    for name, value in pairs:
        if b"_" not in name and names.count(name) == 1 and name != b"host":
            assert read.fields[h1.key_of(name)] == value.decode("latin-1")


PARTS = st.sampled_from(
    [
        *(b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b",", b";", b"\x0b", b"\x7f", b"\xe9"),
        *(b"GET", b"POST", b"/", b"HTTP/1.1", b"HTTP/1.0", b"Host", b"Host: a\r\n", b"X: y\r\n"),
        *(b"Content-Length", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"X_Y: z\r\n", b"5", b"chunked"),
    ]
)


@given(st.lists(st.one_of(PARTS, st.binary(max_size=3)), max_size=12))
def test_any_fields_are_read_as_the_grammar_says_or_refused(parts: list[bytes]) -> None:
    check_against_the_grammar(b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(parts) + b"\r\n\r\n")
    check_against_the_grammar(b"".join(parts) + b"\r\n\r\n")


@given(st.integers(min_value=0), st.integers(0, 255), st.booleans())
@example(0, 13, True)
def test_a_byte_more_or_another_one_is_read_as_the_grammar_says(
    at: int, byte: int, is_more: bool
) -> None:
    data = head(HOST + b"Content-Length: 10\r\nX-Name: value, value\r\n", b"POST /a?b HTTP/1.1")
    at %= len(data)
    check_against_the_grammar(data[:at] + bytes([byte]) + data[at + (not is_more) :])
