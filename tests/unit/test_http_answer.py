"""fibril.http.answer: what applications say, as bytes; and PEP 3333's rules."""

import io
import os
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

import fibril
from fibril.pywsgi import WSGIHandler
from tests.unit.pages import GET, Page, ask, hello, make_server, page, pages, talk

OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
POST = b"POST / HTTP/1.1\r\nHost: me.invalid\r\nContent-Length: 3\r\n\r\nabc"


def saying(*parts: bytes, status: str = "200 OK", fields: Any = (), is_list: bool = True) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, list(fields))
        return list(parts) if is_list else iter(parts)

    return application


def logged(application: Any, data: bytes = GET, **options: Any) -> tuple[bytes, str]:
    """The answer, and what is printed."""
    hub, stream = fibril.get_hub(), io.StringIO()
    hub.exception_stream, former = stream, hub.exception_stream
    try:
        return ask(application, data, **options), stream.getvalue()
    finally:
        hub.exception_stream = former


# ---- framing ----


def test_a_list_is_sent_with_its_length(fresh: None) -> None:
    answer = page(ask(saying(b"one", b"", b"two")))
    assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"onetwo", "6")
    assert "date" in answer.fields
    assert "connection" not in answer.fields
    assert "server" not in answer.fields


def test_an_iterator_is_sent_in_chunks(fresh: None) -> None:
    got = ask(saying(b"one", b"", b"two", is_list=False))
    assert got.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert page(got).fields["transfer-encoding"] == "chunked"


def test_the_end_of_the_connection_ends_a_body_of_http_1_0(fresh: None) -> None:
    got = ask(saying(b"one", b"two", is_list=False), OLD + OLD)
    answer = page(got)
    assert (answer.body, answer.fields["connection"]) == (b"onetwo", "close")
    assert not answer.fields.keys() & {"content-length", "transfer-encoding"}


def test_http_1_0_may_keep_the_connection(fresh: None) -> None:
    keep = OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    first, second = pages(ask(saying(b"one"), keep + OLD + OLD))
    assert (first.fields["connection"], second.fields["connection"]) == ("keep-alive", "close")


@pytest.mark.parametrize(
    ("application", "fields"),
    [
        (saying(b"one", b"two"), {"content-length": "6"}),
        (saying(b"one", is_list=False), {"transfer-encoding": "chunked"}),
        (saying(b"one", fields=[("Content-Length", "3")]), {"content-length": "3"}),
        (saying(fields=[("Content-Length", "300")]), {"content-length": "300"}),
    ],
)
def test_head_gets_the_fields_and_no_body(
    fresh: None, application: Any, fields: dict[str, str]
) -> None:
    first, second = pages(ask(application, HEAD + HEAD), "HEAD", "HEAD")
    assert first.fields == second.fields
    assert fields.items() <= first.fields.items()


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_have_no_length(fresh: None, status: str) -> None:
    first, second = pages(ask(saying(status=status), GET + GET))
    assert first.status == second.status == int(status[:3])
    assert not first.fields.keys() & {"content-length", "transfer-encoding"}


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_body_where_there_is_none_is_an_error(fresh: None, status: str) -> None:
    got, printed = logged(saying(b"body", status=status))
    assert (page(got).status, "has none" in printed) == (500, True)


def test_large_bodies_are_sent_whole(fresh: None) -> None:
    body = os.urandom(3 << 20)
    for application in (saying(body), saying(body, b"x", is_list=False), saying(body, body)):
        answer = page(ask(application))
        assert answer.is_whole
        assert answer.body[: len(body)] == body


def test_other_buffers_than_bytes_are_sent(fresh: None) -> None:
    for part in (bytearray(b"abc"), memoryview(b"abc"), memoryview(bytes(100_000))):
        for is_list in (True, False):
            assert page(ask(saying(part, is_list=is_list))).body == bytes(part)


def test_a_part_is_sent_before_the_next_one_is_made(fresh: None) -> None:
    sent: list[int] = []

    class Handler(WSGIHandler):
        def _sendall(self, data: Any, flags: int = 0) -> None:
            sent.append(len(data))
            super()._sendall(data, flags)

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        assert sent == []  # the head waits for the first part
        yield b""
        assert sent == []
        yield b"one"
        assert len(sent) == 1
        yield b"two"
        assert len(sent) == 2

    assert page(ask(application, handler_class=Handler)).body == b"onetwo"


def test_head_and_small_body_are_one_send(fresh: None) -> None:
    sent: list[int] = []

    class Handler(WSGIHandler):
        def _sendall(self, data: Any, flags: int = 0) -> None:
            sent.append(len(data))
            super()._sendall(data, flags)

    for application in (hello, saying(b"a", b"b"), saying(b"a", fields=[("Content-Length", "1")])):
        sent.clear()
        ask(application, handler_class=Handler)
        assert len(sent) == 1


# ---- write() ----


def test_write_sends_before_what_is_returned(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one")
        write(b"")
        return [b"two", b"three"]

    assert page(ask(application)).body == b"onetwothree"


# ---- Content-Length that is wrong ----


def test_a_body_shorter_than_it_says_is_cut_off(fresh: None) -> None:
    for is_list in (True, False):
        fields = [("Content-Length", "9")]
        got, printed = logged(saying(b"abc", fields=fields, is_list=is_list), GET + GET)
        answer = page(got)  # and no other
        assert (answer.body, answer.is_whole) == (b"abc", False)
        assert "6 bytes shorter" in printed


@pytest.mark.parametrize("parts", [(b"abcdef",), (b"ab", b"cdef"), (b"abc", b"def", b"g")])
def test_what_is_longer_than_it_says_is_left_out(fresh: None, parts: tuple[bytes, ...]) -> None:
    for is_list in (True, False):
        fields = [("Content-Length", "3")]
        got, printed = logged(saying(*parts, fields=fields, is_list=is_list), GET + GET)
        assert page(got).body == b"abc"
        assert "longer than its Content-Length" in printed


def test_a_large_body_longer_than_it_says_is_left_out(fresh: None) -> None:
    got, _ = logged(saying(bytes(100_000), fields=[("Content-Length", "70000")]))
    assert page(got) == Page(200, page(got).fields, bytes(70_000))


@pytest.mark.parametrize("length", ["five", "-1", "5 ", "+5", "\xb2", ""])
def test_a_length_that_is_none_is_an_error(fresh: None, length: str) -> None:
    assert page(logged(saying(b"abc", fields=[("Content-Length", length)]))[0]).status == 500


# ---- what cannot be a field ----


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("200 OK\r\nX: 1", []),
        ("200 OK\n", []),
        ("200 \u20ac", []),
        (b"200 OK", []),
        ("OK", []),
        ("200 OK", [("X", "a\r\nSet-Cookie: b")]),
        ("200 OK", [("X", "a\nb")]),
        ("200 OK", [("X", "a\0b")]),
        ("200 OK", [("X\r\nY", "a")]),
        ("200 OK", [("X Y", "a")]),
        ("200 OK", [("X:", "a")]),
        ("200 OK", [("", "a")]),
        ("200 OK", [("X\xe9", "a")]),
        ("200 OK", [("X", "\u20ac")]),
        ("200 OK", [("X", b"a")]),
        ("200 OK", [(b"X", "a")]),
        ("200 OK", [("X", 1)]),
        ("200 OK", [("X", None)]),
        ("200 OK", [("Content-Length", "1"), ("content-length", "2")]),
    ],
)
def test_what_is_no_field_is_an_error_and_is_not_sent(
    fresh: None, status: Any, fields: Any
) -> None:
    raised: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            start_response(status, fields)
        except BaseException as error:
            raised.append(error)
            raise
        return [b"never"]

    got, _ = logged(application)
    assert page(got).status == 500
    assert isinstance(raised[0], ValueError)  # UnicodeError is one


@pytest.mark.parametrize("length", ["five", "3, 3"])
def test_what_was_refused_leaves_nothing_behind(fresh: None, length: str) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "3"), ("X-First", "1")])
        with pytest.raises(ValueError, match="no number"):
            start_response("400 Bad", [("X-Second", "1"), ("Content-Length", length)])
        with pytest.raises(ValueError, match="two fields"):
            start_response("400 Bad", [("Content-Length", "1"), ("CONTENT-LENGTH", "1")])
        return [b"abc"]

    answer = page(ask(application))
    assert (answer.status, answer.body, answer.fields["x-first"]) == (200, b"abc", "1")
    assert "x-second" not in answer.fields


def test_fields_of_latin_1_are_sent_as_such(fresh: None) -> None:
    got = ask(saying(fields=[("X-Name", "caf\xe9\xa0\t"), ("x-name-2", "")]))
    assert b"X-Name: caf\xe9\xa0\t\r\n" in got
    assert b"x-name-2: \r\n" in got


def test_names_that_applications_make_up_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from fibril.http import answer

    monkeypatch.setattr(answer, "_names", {})
    for number in range(600):
        assert answer._learn_name(f"X-{number}") == (f"X-{number}".encode(), None)
    assert len(answer._names) == 512


def test_how_it_travels_is_for_the_server_to_say(fresh: None) -> None:
    fields = [("Transfer-Encoding", "chunked")]
    assert page(ask(saying(b"abc", fields=fields, is_list=False))).body == b"abc"
    assert page(ask(saying(b"abc", fields=fields))).body == b"abc"


# ---- closing ----


@pytest.mark.parametrize("value", ["close", "Close", "foo, close"])
def test_the_application_may_close_the_connection(fresh: None, value: str) -> None:
    assert page(ask(saying(b"x", fields=[("Connection", value)]), GET + GET)).body == b"x"


def test_who_wants_the_connection_closed_is_told_that_it_is(fresh: None) -> None:
    closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert page(ask(hello, closing + GET)).fields["connection"] == "close"


# ---- errors ----


class Parts:
    """What an application returns, which notes that it is closed."""

    def __init__(self, *parts: bytes, error: BaseException | None = None) -> None:
        self.parts, self.error, self.closed = parts, error, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("error", [None, ValueError("no"), fibril.Timeout(5)])
def test_what_was_returned_is_closed_once(fresh: None, error: Any) -> None:
    result = Parts(b"one", error=error)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return result

    logged(application)
    assert result.closed == 1


def test_an_error_before_anything_is_sent_is_told(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X", "1")])
        raise ValueError("secret")

    got, printed = logged(application, GET + GET)
    answer = page(got)
    assert (answer.status, answer.fields["connection"]) == (500, "close")
    assert "x" not in answer.fields
    assert b"secret" not in got
    assert "ValueError: secret" in printed


def test_an_error_half_way_is_seen_by_the_client(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"one"
        raise ValueError("no")

    got, printed = logged(application, GET + GET)
    assert (page(got).body, page(got).is_whole) == (b"one", False)
    assert "ValueError: no" in printed


def test_start_response_may_be_called_again_with_an_error(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X", "1"), ("Content-Length", "99")])
        try:
            raise ValueError("no")
        except ValueError:
            start_response("503 Busy", [], sys.exc_info())
        return [b"later"]

    answer = page(ask(application))
    assert (answer.status, answer.body, "x" in answer.fields) == (503, b"later", False)


def test_with_an_error_that_comes_too_late_it_raises_that(fresh: None) -> None:
    caught: list[Exception] = []

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"one")
        try:
            raise ValueError("no")
        except ValueError:
            try:
                start_response("503 Busy", [], sys.exc_info())
            except ValueError as error:
                caught.append(error)
                raise
        return []

    got, _ = logged(application)
    assert (str(caught[0]), page(got).is_whole) == ("no", False)


@pytest.mark.parametrize("result", [None, 5, [b"text", "text"], ["text"], [None]])
def test_what_is_no_body_is_an_error(fresh: None, result: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return result

    got, printed = logged(application)
    assert "TypeError" in printed
    assert not got or page(got).status == 500 or not page(got).is_whole


def test_an_application_that_says_nothing_gets_500(fresh: None) -> None:
    got, printed = logged(lambda environ, start_response: [b"x"])
    assert (page(got).status, "start_response" in printed) == (500, True)


def test_an_application_that_took_the_connection_says_nothing(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].raw._sock.sendall(b"mine")
        return []

    assert ask(application) == b"mine"


# ---- files ----


def file_of(data: bytes) -> Any:
    fd = os.memfd_create("page")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return os.fdopen(fd, "rb")


@pytest.mark.parametrize("seek", [0, 1000])
@pytest.mark.parametrize("fields", [[], [("Content-Length", "500")]])
def test_files_are_sent(fresh: None, seek: int, fields: list[tuple[str, str]]) -> None:
    data = os.urandom(300_000)
    file = file_of(data)
    file.seek(seek)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", fields)
        return environ["wsgi.file_wrapper"](file, 4096)

    answer = page(ask(application))
    assert answer.body == data[seek : seek + 500 if fields else None]
    assert (answer.is_whole, file.closed) == (True, True)


def test_a_file_is_sent_without_reading_it(fresh: None) -> None:
    class Handler(WSGIHandler):
        def _write(self, data: Any) -> None:
            raise AssertionError("it was read")

    file = file_of(b"x" * 100_000)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return FileWrapper(file)

    assert len(page(ask(application, handler_class=Handler)).body) == 100_000


@pytest.mark.parametrize("kind", ["memory", "pipe", "gzip"])
def test_what_is_no_file_on_a_disk_is_read(fresh: None, kind: str, tmp_path: Any) -> None:
    import gzip

    file: Any = io.BytesIO(b"abc")
    if kind == "pipe":
        reader, writer = os.pipe()
        os.write(writer, b"abc")
        os.close(writer)
        file = os.fdopen(reader, "rb")
    elif kind == "gzip":
        (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
        file = gzip.GzipFile(tmp_path / "a.gz")

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    assert page(ask(application)).body == b"abc"
    assert file.closed


def test_head_of_a_file_and_an_empty_file(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file_of(b""))

    assert page(ask(application)).body == b""
    assert page(ask(application, HEAD), "HEAD").status == 200


# ---- PEP 3333 ----


@pytest.mark.parametrize("data", [GET, HEAD, POST, OLD, GET + POST + GET])
def test_the_standard_librarys_validator_finds_nothing(fresh: None, data: bytes) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    method = data.split()[0].decode()
    environ = {"SERVER_NAME": "me.invalid", "SERVER_PORT": "80"}
    got, printed = logged(validator(application), data, environ=environ)
    assert printed == ""
    assert {answer.status for answer in pages(got, method)} == {200}


def test_another_request_finds_nothing_of_the_one_before(fresh: None) -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> Any:
        seen.append(dict(environ))
        environ["mine"] = 1
        start_response("200 OK", [])
        return []

    talk(make_server(application), POST.replace(b"Host", b"X-One: 1\r\nHost") + GET)
    assert "mine" not in seen[1]
    assert not seen[1].keys() & {"HTTP_X_ONE", "CONTENT_LENGTH"}
    assert seen[1]["wsgi.input"].read() == b""
