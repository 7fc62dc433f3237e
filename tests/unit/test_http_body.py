"""fibril.http.body: a body ends where it ends, and nothing behind it is taken."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibril.http.body import Input, InvalidClientInput
from fibril.http.reader import Reader
from tests.conftest import Sim
from tests.unit.pages import Client, Pieces
from tests.unit.test_http_reader import cut

NEXT = b"GET /next HTTP/1.1\r\n\r\n"


def chunked(data: bytes, *ends: bytes) -> Input:
    return Input(Reader(Pieces([data, *ends])), None, chunked_input=True)


def counted(data: bytes, length: int | None) -> Input:
    return Input(Reader(Pieces([data])), length)


def test_a_body_of_so_many_bytes_ends_there() -> None:
    body = counted(b"one\ntwo" + NEXT, 7)
    assert (body.readline(), body.read(1), body.read(), body.read(), body.readline()) == (
        *(b"one\n", b"t", b"wo", b"", b""),
    )
    assert body.rfile.read() == NEXT


def test_a_request_without_a_body_has_an_empty_one() -> None:
    body = counted(NEXT, None)
    assert (body.read(), body.read(5), body.readline(), list(body)) == (b"", b"", b"", [])


@pytest.mark.parametrize("size", [None, -1, -7])
def test_no_size_is_all_of_it(size: int | None) -> None:
    assert counted(b"one\ntwo", 7).read(size) == b"one\ntwo"
    assert counted(b"one\ntwo", 7).readline(size) == b"one\n"
    assert chunked(b"7\r\none\ntwo\r\n0\r\n\r\n").read(size) == b"one\ntwo"


def test_lines_are_iterated() -> None:
    assert list(counted(b"one\ntwo\nthree", 11)) == [b"one\n", b"two\n", b"thr"]
    assert counted(b"one\ntwo", 7).readlines(1) == [b"one\n", b"two"]


def test_the_socket_is_where_programs_look_for_it() -> None:
    sock = Pieces([])
    body = Input(Reader(sock), None)
    assert body.raw._sock is body.rfile.raw._sock is sock


BODIES = st.lists(st.binary(min_size=1, max_size=40).map(lambda data: data.replace(b"x", b"\n")))
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b c";d', b";a;b;c=1"])
TRAILERS = st.sampled_from([b"", b"X-Sum: 1\r\n", b"A:\r\nB: c d\r\n"])
CALLS = st.lists(st.tuples(st.booleans(), st.one_of(st.none(), st.integers(0, 60))))


@given(BODIES, EXTENSIONS, TRAILERS, CALLS, st.lists(st.integers(0, 3000)))
def test_chunks_are_read_as_one_body(
    parts: list[bytes],
    extension: bytes,
    trailers: bytes,
    calls: list[tuple[bool, int | None]],
    places: list[int],
) -> None:
    sent = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    sent += b"000" + extension + b"\r\n" + trailers + b"\r\n" + NEXT
    body = Input(Reader(cut(sent, places)), None, chunked_input=True)
    rest = b"".join(parts)
    for is_line, size in calls:
        got = body.readline(size) if is_line else body.read(size)
        wanted = len(rest) if size is None else size
        end = rest.find(b"\n", 0, wanted) + 1 if is_line else 0
        assert got == rest[: end or wanted]
        rest = rest[len(got) :]
    assert body.read() == rest
    assert body._discard()
    assert body.rfile.read() == NEXT


MALFORMED = {
    "no length": b"\r\nabc\r\n0\r\n\r\n",
    "a length that is none": b"xyz\r\nabc\r\n0\r\n\r\n",
    "a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "less than nothing": b"-3\r\nabc\r\n0\r\n\r\n",
    "a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "a space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "a space behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "a tab behind": b"3\t\r\nabc\r\n0\r\n\r\n",
    "a line feed alone": b"3\nabc\r\n0\r\n\r\n",
    "a return alone": b"3\rabc\r\n0\r\n\r\n",
    "a return too many": b"3\r\r\nabc\r\n0\r\n\r\n",
    "an absurd length": b"f" * 16 + b"\r\nabc\r\n0\r\n\r\n",
    "a long line": b"3;" + b"a" * 2000 + b"\r\nabc\r\n0\r\n\r\n",
    "an extension with a line feed": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "an extension with a return": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "an extension without a name": b"3;\r\nabc\r\n0\r\n\r\n",
    "an extension with a space": b"3;a b\r\nabc\r\n0\r\n\r\n",
    "an extension with NUL": b"3;a\0\r\nabc\r\n0\r\n\r\n",
    "a quote that does not end": b'3;a="b\r\nabc\r\n0\r\n\r\n',
    "longer than it says": b"3\r\nabcd\r\n0\r\n\r\n",
    "shorter than it says": b"4\r\nabc\r\n0\r\n\r\n",
    "no end of a chunk": b"3\r\nabc0\r\n\r\n",
    "a line feed alone at its end": b"3\r\nabc\n0\r\n\r\n",
    "a return and something at its end": b"3\r\nabc\rX0\r\n\r\n",
    "no end": b"3\r\nabc\r\n",
    "no last line": b"3\r\nabc\r\n0\r\n",
    "a last line without a return": b"3\r\nabc\r\n0\r\n\n",
    "cut off in a chunk": b"3\r\nab",
    "cut off in a length": b"3",
    "a request for a trailer": b"3\r\nabc\r\n0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    "a trailer with a space": b"3\r\nabc\r\n0\r\nX : 1\r\n\r\n",
    "a trailer in two lines": b"3\r\nabc\r\n0\r\nX: 1\r\n y\r\n\r\n",
    "a trailer with a line feed alone": b"3\r\nabc\r\n0\r\nX: 1\n\r\n\r\n",
    "a trailer with a return": b"3\r\nabc\r\n0\r\nX: 1\r2\r\n\r\n",
    "a trailer with NUL": b"3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
    "a length for a trailer": b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    "a coding for a trailer": b"3\r\nabc\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
    "a host for a trailer": b"3\r\nabc\r\n0\r\nHost: a\r\n\r\n",
    "trailers without end": b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
    "a long trailer": b"3\r\nabc\r\n0\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_chunks_are_refused(what: str) -> None:
    body = chunked(MALFORMED[what])
    with pytest.raises(InvalidClientInput) as raised:
        body.read()
    assert raised.value.status == 400
    assert not body._discard()
    with pytest.raises(InvalidClientInput):  # and it stays malformed
        body.read()


GRAMMAR = re.compile(
    rb"(?:(?!0+[;\r])[0-9A-Fa-f]{1,15}(?:;[!-~\x80-\xff \t]*)?\r\n.*?\r\n)*0+(?:;[ -~]*)?\r\n"
    rb"(?:[!-9;-~]+:[\t -~\x80-\xff]*\r\n)*\r\n",
    re.DOTALL,
)


@given(st.integers(0), st.integers(0, 255), st.booleans())
def test_a_byte_more_or_another_one_never_makes_another_request(
    at: int, byte: int, is_more: bool
) -> None:
    sent = b"4;a=b\r\nabcd\r\n2\r\nef\r\n0\r\nX: y\r\n\r\n"
    at %= len(sent)
    data = sent[:at] + bytes([byte]) + sent[at + (not is_more) :]
    body = chunked(data + NEXT)
    try:
        body.read()
    except InvalidClientInput:
        return
    taken = (data + NEXT)[: -len(rest)] if (rest := body.rfile.read()) else data + NEXT
    assert GRAMMAR.fullmatch(taken)
    assert rest == NEXT or not NEXT.startswith(rest[:3])


@pytest.mark.parametrize("length", [8, 20000, 10**15])
def test_a_body_that_is_cut_off_is_no_body(length: int) -> None:
    for read in (Input.read, Input.readline):
        body = counted(b"seven b", length)
        with pytest.raises(InvalidClientInput, match="after 7 bytes"):
            read(body)


def test_chunks_may_be_too_many() -> None:
    body = chunked(b"5\r\nabcde\r\n6\r\nabcdef\r\n0\r\n\r\n")
    body.bytes_max = 10
    assert body.read(5) == b"abcde"
    with pytest.raises(InvalidClientInput) as raised:
        body.read()
    assert raised.value.status == 413


class Waiting:
    """The socket of a client that waits for 100 Continue."""

    def __init__(self) -> None:
        self.got = b""

    def sendall(self, data: bytes) -> None:
        self.got += data


@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_client_is_told_to_go_on_when_somebody_reads(is_chunked: bool) -> None:
    client: Any = Waiting()
    sent = b"3\r\nabc\r\n0\r\n\r\n" if is_chunked else b"abc"
    body = Input(Reader(Pieces([sent])), 3, client, is_chunked)
    assert (body.read(0), client.got) == (b"", b"")
    assert not body._discard()
    assert body.read() == b"abc"
    assert body.read() == b""
    assert client.got == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert body._discard()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_what_nobody_read_is_taken_up_to_a_limit(is_chunked: bool) -> None:
    sent = b"9c40\r\n" + b"x" * 40000 + b"\r\n0\r\n\r\n" if is_chunked else b"x" * 40000
    for limit, is_at_next in ((None, True), (40000, True), (39999, False), (0, False)):
        body = Input(Reader(Pieces([sent + NEXT])), 40000, None, is_chunked)
        assert body._discard(limit) is is_at_next
        if is_at_next:
            assert body.rfile.read() == NEXT


def test_a_body_that_stalls_is_late(sim: Sim) -> None:
    for sent, is_chunked in ((b"abc", False), (b"5\r\nabc", True), (b"5", True)):
        body = Input(Reader(Client((1, sent), None)), 5, None, is_chunked)
        body.timeout_s = 9
        start = sim.now()
        with pytest.raises(InvalidClientInput) as raised:
            body.read()
        assert (raised.value.status, sim.now() - start) == (408, pytest.approx(10))
