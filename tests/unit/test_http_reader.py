"""fibril.http.reader: bytes come out in their order, however they came in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fibril
from fibril.http.h1 import HEAD_BYTES_MAX, InvalidClientRequest
from fibril.http.reader import Reader
from tests.conftest import Sim
from tests.unit.pages import GET, Client, Pieces


def cut(data: bytes, places: list[int]) -> Pieces:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return Pieces(data[start:end] for start, end in pairwise(ends))


HEADS = [GET, b"POST / HTTP/1.0\r\nA: b\r\n\r\n", b"PUT /" + b"x" * 300 + b" HTTP/1.1\r\n\r\n"]


@given(st.lists(st.sampled_from(HEADS), max_size=5), st.lists(st.integers(0, 2000)), st.booleans())
def test_heads_are_whole_wherever_they_are_cut(
    heads: list[bytes], places: list[int], has_empty_lines: bool
) -> None:
    between = b"\r\n" if has_empty_lines else b""
    reader = Reader(cut(between + between.join(heads), places))
    assert list(iter(lambda: reader.read_head(None), b"")) == heads


@given(
    st.binary(max_size=500).map(lambda data: data.replace(b"x", b"\n")),
    st.lists(st.integers(0, 500)),
    st.lists(
        st.tuples(st.sampled_from(["read", "readline", "read1", "readinto"]), st.integers(0, 99))
    ),
)
def test_a_file_of_the_same_bytes_reads_the_same(
    data: bytes, places: list[int], calls: list[tuple[str, int]]
) -> None:
    reader, rest = Reader(cut(data, places)), data
    for name, size in calls:
        if name == "readinto":
            buffer = bytearray(size)
            got = bytes(buffer[: reader.readinto(buffer)])
            expected = rest[:size]
        elif name == "read1":
            got = reader.read1(size)
            assert got or not size or not rest
            expected = rest[: len(got)]
        else:
            got = getattr(reader, name)(size)
            end = rest.find(b"\n") + 1 if name == "readline" else 0
            expected = rest[: min(end or size, size)]
        assert got == expected
        rest = rest[len(got) :]
    assert reader.peek() == b"" if not rest else rest.startswith(reader.peek())
    assert reader.read() == rest


def test_lines_end_with_the_stream() -> None:
    assert list(Reader(Pieces([b"one\ntw", b"o\n", b"three"]))) == [b"one\n", b"two\n", b"three"]
    assert Reader(Pieces([b"one\n", b"two"])).readlines() == [b"one\n", b"two"]
    assert Reader(Pieces([b"one", b"two"])).readline() == b"onetwo"


def test_what_was_read_by_somebody_who_was_interrupted_is_not_lost(sim: Sim) -> None:
    reader = Reader(Client((0, b"begin "), (5, b"\nend"), None))
    for read in (lambda: reader.read(9), reader.readline):
        with pytest.raises(fibril.Timeout), fibril.Timeout(1):
            read()
    assert reader.readline() == b"begin \n"
    assert reader.read(3) == b"end"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"G", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 13000, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * HEAD_BYTES_MAX + b"y" * 9000, 431),
    ],
)
def test_a_head_that_does_not_end_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(InvalidClientRequest) as raised:
        Reader(cut(data, [7, 100])).read_head(None)
    assert raised.value.status == status


def test_a_head_of_a_byte_each_second_is_late(sim: Sim) -> None:
    reader = Reader(Client(*((1, GET[at : at + 1]) for at in range(len(GET)))))
    start = sim.now()
    with pytest.raises(InvalidClientRequest) as raised:
        reader.read_head(10)
    assert (raised.value.status, sim.now() - start) == (408, pytest.approx(11))


def test_who_sends_nothing_is_waited_for_as_long_as_the_limit_says(sim: Sim) -> None:
    reader = Reader(Client(None))
    reader.limit(7)
    with pytest.raises(TimeoutError):
        reader.read_head(1)
    assert sim.now() == pytest.approx(7, abs=1)
