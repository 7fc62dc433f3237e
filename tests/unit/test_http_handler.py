"""fibril.http.handler: the requests of a connection, their environments, and gevent's hooks."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fibril
from fibril.pywsgi import WSGIHandler, WSGIServer
from fibril.socket import socketpair
from tests.conftest import Growth, Sim
from tests.unit.pages import (
    GET,
    PEER,
    Client,
    ask,
    echo,
    handle,
    hello,
    make_server,
    page,
    pages,
    talk,
)

POST = b"POST / HTTP/1.1\r\nHost: me.invalid\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
CONTINUE = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"


def environ_of(data: bytes, **options: Any) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    assert page(ask(application, data, **options)).status == 200
    return seen[0]


# ---- connections ----


def test_a_connection_is_kept_for_the_next_request(fresh: None) -> None:
    answers = pages(ask(echo, POST + GET + CHUNKED + POST))
    assert [answer.body for answer in answers] == [b"abc", b"", b"abc", b"abc"]


def test_a_client_that_sends_nothing_gets_nothing(fresh: None) -> None:
    assert ask(hello, b"") == ask(hello, b"\r\n\r\n") == b""


def test_the_descriptor_is_closed_whoever_has_a_file_of_it(fresh: None) -> None:
    client, connection = socketpair()
    file = connection.makefile("rb")
    client.close()
    make_server().handle(connection, PEER)
    assert connection.fileno() == -1 or connection._io_refs == 1  # type: ignore[attr-defined]
    file.close()
    assert connection.fileno() == -1


def test_nothing_is_left_of_a_connection(growth: Growth) -> None:
    server = make_server(echo)
    growth.refuse(lambda: talk(server, POST + GET + CHUNKED))
    server = make_server(echo, error_log=None)
    growth.refuse(lambda: talk(server, b"garbage\r\n\r\n"))


def test_a_client_that_never_pauses_lets_others_run(fresh: None) -> None:
    turns: list[int] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        answered.append(len(turns))
        return hello(environ, start_response)

    def other() -> None:
        while len(answered) < 100:
            turns.append(len(answered))
            fibril.sleep(0)

    answered: list[int] = []
    task = fibril.spawn(other)
    assert len(pages(ask(application, GET * 100))) == 100
    task.get()
    assert len(set(turns)) > 4


# ---- refusals ----


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (GET.replace(b"Host", b"Host : a\r\nX"), 400),
        (POST.replace(b"Content-Length: 3", b"Content-Length: 3\r\nContent-Length: 3"), 400),
        (GET.replace(b"/ ", b"/" + b"a" * 9000 + b" "), 414),
        (GET.replace(b"\r\n\r\n", b"\r\n" + b"X: 1\r\n" * 200 + b"\r\n"), 431),
        (GET.replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
        (CHUNKED.replace(b"chunked", b"gzip"), 400),
        (CONTINUE.replace(b"100-continue", b"more"), 417),
    ],
)
def test_what_is_refused_is_answered_and_the_last(fresh: None, data: bytes, status: int) -> None:
    calls: list[Any] = []
    server = make_server(lambda *args: calls.append(args))
    answer = page(talk(server, data + GET))
    assert (answer.status, answer.fields["connection"], calls) == (status, "close", [])
    assert answer.body
    assert server.error_log.getvalue().count("\n") == 1


def test_a_malformed_body_is_answered_and_the_last(fresh: None) -> None:
    server = make_server(echo)
    answer = page(talk(server, CHUNKED.replace(b"3\r\nabc", b"zz\r\nabc") + GET))
    assert (answer.status, answer.fields["connection"]) == (400, "close")


def test_a_body_may_be_too_large(fresh: None) -> None:
    class Handler(WSGIHandler):
        body_bytes_max = 2

    for data in (POST, CHUNKED):
        assert page(ask(echo, data + GET, handler_class=Handler)).status == 413


PARTS = st.sampled_from(
    [
        *(GET, POST, CHUNKED, CONTINUE, GET[:-2], POST[:-1], CHUNKED[:-5], b"\r\n", b"\r", b"\n"),
        *(b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"POST /?q HTTP/1.0\r\n", b"0\r\n\r\n", b"3\r\n"),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\n"),
        *(b"Connection: close\r\n", b"Connection: upgrade\r\n", b"abc", b" ", b":", b"\0"),
    ]
)


@given(st.lists(st.one_of(PARTS, st.binary(max_size=4)), max_size=8), st.booleans())
def test_any_bytes_get_answers_and_the_end(parts: list[bytes], is_read: bool) -> None:
    class Handler(WSGIHandler):
        linger_s = 0.001

    server = make_server(echo if is_read else hello, handler_class=Handler)
    for answer in pages(talk(server, b"".join(parts))):
        assert answer.status in (100, 200, 400, 417, 501, 505)
        assert answer.is_whole


# ---- what is left of a body ----


@pytest.mark.parametrize("data", [POST, CHUNKED])
def test_the_next_request_begins_behind_a_body_that_nobody_read(fresh: None, data: bytes) -> None:
    assert [answer.body for answer in pages(ask(hello, data + GET))] == [b"hello"] * 2


def test_behind_a_large_body_that_nobody_read_the_connection_ends(fresh: None) -> None:
    large = POST.replace(b": 3", b": 1000000").replace(b"abc", b"x" * 1_000_000)
    assert page(ask(hello, large + GET)).body == b"hello"


def test_the_body_is_asked_for_when_it_is_read(fresh: None) -> None:
    first, second = pages(ask(echo, CONTINUE + b"abc"))
    assert (first.status, second.status, second.body) == (100, 200, b"abc")


def test_no_body_need_not_be_asked_for(fresh: None) -> None:
    data = CONTINUE.replace(b": 3", b": 0")
    assert [answer.status for answer in pages(ask(hello, data + data))] == [200, 200]


def test_a_body_that_was_not_asked_for_ends_the_connection(fresh: None) -> None:
    answer = page(ask(hello, CONTINUE + GET))
    assert (answer.status, answer.fields["connection"]) == (200, "close")


# ---- environments ----


def test_an_environment_is_what_wsgi_says(fresh: None) -> None:
    data = b"POST /caf%C3%A9/%2f?a=b%20c?d HTTP/1.1\r\nHost: me.invalid:80\r\nX-Y: z\r\n"
    data += b"Content-Type: a/b\r\nContent-Length: 3\r\n\r\nabc"
    environ = environ_of(data, environ={"mine": 1})
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\xc3\xa9//",
        "QUERY_STRING": "a=b%20c?d",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "a/b",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "me.invalid:80",
        "HTTP_X_Y": "z",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4321",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "mine": 1,
    }
    assert expected.items() <= environ.items()
    assert not environ.keys() & {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}
    assert type(environ) is dict
    assert isinstance(environ["wsgi.errors"], io.StringIO)
    assert environ["SERVER_SOFTWARE"].startswith("fibril/")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/?", "/", ""),
        (b"//a", "//a", ""),
        (b"/a%", "/a%", ""),
        (b"/%ff", "/\xff", ""),
        (b"/\xe9", "/\xe9", ""),
        (b"http://other.invalid/a?b", "/a", "b"),
        (b"http://other.invalid?b", "/", "b"),
        (b"http://other.invalid", "/", ""),
    ],
)
def test_targets_become_paths(fresh: None, target: bytes, path: str, query: str) -> None:
    environ = environ_of(GET.replace(b"/ ", target + b" "))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)


def test_options_of_the_whole_server(fresh: None) -> None:
    assert environ_of(GET.replace(b"GET /", b"OPTIONS *"))["PATH_INFO"] == "*"


def test_a_field_with_an_underscore_is_nobodys(fresh: None) -> None:
    data = GET.replace(b"Host", b"X_Forwarded_For: evil\r\nHost")
    assert "HTTP_X_FORWARDED_FOR" not in environ_of(data)


# ---- hooks ----


def test_each_step_may_be_overridden(fresh: None) -> None:
    steps: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        def step(self: Any, *args: Any) -> Any:
            steps.append(name)
            return getattr(super(handler, self), name)(*args)

        return step

    names = [
        *("handle", "handle_one_request", "read_requestline", "read_request", "get_environ"),
        *("handle_one_response", "run_application", "start_response", "process_result", "write"),
        *("finalize_headers", "log_request", "format_request"),
    ]
    handler: Any = type("Handler", (WSGIHandler,), {name: noting(name) for name in names})
    answer = page(ask(hello, GET, handler_class=handler, log=io.StringIO()))
    assert answer.body == b"hello"
    assert steps == [*names, "handle_one_request", "read_requestline"][: len(steps)]
    assert len(steps) >= len(names)


def test_reading_line_by_line_is_judged_by_the_same_rules(fresh: None) -> None:
    class Handler(WSGIHandler):
        def read_requestline(self) -> str:
            return super().read_requestline()

    for data, statuses in (
        (POST + GET + CHUNKED, [200, 200, 200]),
        (b"\r\n" + GET, [200]),
        (GET.replace(b"Host", b"Host : a\r\nX") + GET, [400]),
        (GET.replace(b"\r\nHost", b"\nHost") + GET, [400]),
        (GET.replace(b"Host", b"X: a\r\n b\r\nHost"), [400]),
        (GET.replace(b"/ ", b"/" + b"a" * 9000 + b" "), [414]),
        (GET.replace(b"\r\n\r\n", b"\r\n" + b"X: 1\r\n" * 20000 + b"\r\n"), [431]),
        (GET[:-2], [400]),
        (b"", []),
    ):
        got = ask(echo, data, handler_class=Handler)
        assert [answer.status for answer in pages(got)] == statuses


def test_what_read_request_changes_is_what_the_application_sees(fresh: None) -> None:
    class Handler(WSGIHandler):
        def read_request(self, raw_requestline: str) -> bool:
            assert raw_requestline == "GET / HTTP/1.1\r\n"
            super().read_request(raw_requestline)
            self.path = "/other?q"
            del self.headers["host"]
            self.headers["X-Added"] = "1"
            return True

    environ = environ_of(GET, handler_class=Handler)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/other", "q")
    assert (environ["HTTP_X_ADDED"], "HTTP_HOST" in environ) == ("1", False)


def test_read_request_may_do_without_ours(fresh: None) -> None:
    class Handler(WSGIHandler):
        def read_request(self, raw_requestline: str) -> bool:
            self.command, self.path, self.request_version = raw_requestline.split()
            self.headers = self.MessageClass(self.rfile, 0)
            self.content_length = int(self.headers.get("content-length", 0))
            self.close_connection = True
            return True

    assert page(ask(echo, POST, handler_class=Handler)).body == b"abc"


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("no"), None])
def test_read_request_may_refuse(fresh: None, error: Exception | None) -> None:
    class Handler(WSGIHandler):
        def read_request(self, raw_requestline: str) -> bool:
            if error is not None:
                raise error
            return False

    server = make_server(handler_class=Handler)
    assert page(talk(server, GET)).status == 400
    assert server.error_log.getvalue()


def test_a_handler_may_read_from_a_file(fresh: None) -> None:
    client, connection = socketpair()
    server = make_server(echo)
    with client:
        WSGIHandler(connection, PEER, server, io.BufferedReader(io.BytesIO(POST + GET))).handle()
        got = b"".join(iter(lambda: client.recv(65536), b""))
    assert [answer.body for answer in pages(got)] == [b"abc", b""]


def test_a_handler_shows_the_fields_as_a_message(fresh: None) -> None:
    seen: list[Any] = []

    class Handler(WSGIHandler):
        def run_application(self) -> None:
            seen.append(self.headers)
            super().run_application()

    ask(hello, POST.replace(b"Host", b"Content-Type: a/b\r\nHost"), handler_class=Handler)
    (message,) = seen
    assert message.items() == [
        ("Content-Type", "a/b"),
        ("Host", "me.invalid"),
        ("Content-Length", "3"),
    ]
    assert (message.typeheader, message.getheader("host"), message.status) == (
        "a/b",
        "me.invalid",
        "",
    )
    assert next(message.headers) == "Content-Type: a/b\r\n"


def test_a_longer_line_may_be_allowed(fresh: None) -> None:
    class Handler(WSGIHandler):
        MAX_REQUEST_LINE = 100_000

    data = GET.replace(b"/ ", b"/" + b"a" * 90_000 + b" ")
    assert page(ask(hello, data, handler_class=Handler)).status == 200
    assert page(ask(hello, data)).status == 414


def test_finalize_headers_may_add_fields(fresh: None) -> None:
    class Handler(WSGIHandler):
        def finalize_headers(self) -> None:
            super().finalize_headers()
            self.response_headers.append((b"Server", b"mine"))

    assert page(ask(hello, handler_class=Handler)).fields["server"] == "mine"


def test_a_handler_may_become_another_protocol(fresh: None) -> None:
    class Handler(WSGIHandler):
        def run_application(self) -> None:
            self.start_response("101 Switching Protocols", [("Connection", "Upgrade")])
            self.provided_content_length = False
            self.provided_date = True
            self.write("")
            assert self.rfile.read(5) == b"early"
            self.socket.sendall(b"other")

    data = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n") + b"early"
    got = ask(hello, data, handler_class=Handler)
    assert got == b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\nother"


def test_errors_of_the_client_are_nobodys(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        raise BrokenPipeError(32, "gone")

    told: list[Any] = []

    class Handler(WSGIHandler):
        def handle_error(self, *error: Any) -> None:
            told.append(error)
            super().handle_error(*error)

    assert (ask(application, handler_class=Handler), told) == (b"", [])


# ---- logs ----


def test_a_line_is_logged_for_each_request(fresh: None) -> None:
    log = io.StringIO()
    got = ask(hello, GET + b"garbage\r\n\r\n", log=log)
    first, second = log.getvalue().splitlines()
    assert first.startswith("192.0.2.7 - - [")
    assert f'"GET / HTTP/1.1" 200 {got.index(b"hello") + 5} 0.' in first
    assert '"" 400 ' in second


def test_a_unix_client_has_no_address(fresh: None) -> None:
    log = io.StringIO()
    client, connection = socketpair()
    with client:
        client.sendall(GET)
        client.shutdown(1)
        make_server(log=log).handle(connection, "")
    assert log.getvalue().startswith("- - - [")


# ---- clients that do nothing ----


def test_a_client_that_asks_for_nothing_is_let_go(sim: Sim) -> None:
    client, start = Client((1, GET), None), sim.now()
    handle(client, idle_timeout_s=20)
    assert page(client.got).body == b"hello"
    assert sim.now() - start == pytest.approx(21)


def test_a_head_that_drips_is_answered_with_408(sim: Sim) -> None:
    def by_lines(self: WSGIHandler) -> str:
        return WSGIHandler.read_requestline(self)

    for settings in ({}, {"read_requestline": by_lines}):
        client = Client(*((2, GET[at : at + 1]) for at in range(len(GET))))
        start = sim.now()
        handle(client, head_timeout_s=11, **settings)
        assert page(client.got).status == 408
        assert sim.now() - start == pytest.approx(13, abs=1.1)


def test_a_body_that_stalls_is_answered_with_408(sim: Sim) -> None:
    for data in (POST[:-1], CHUNKED[:-5], CHUNKED[:-13]):
        client, start = Client((1, data), None), sim.now()
        handle(client, echo, body_timeout_s=11, linger_s=3)
        assert page(client.got).status == 408
        assert sim.now() - start == pytest.approx(15)


def test_a_body_that_nobody_reads_is_not_waited_for_longer(sim: Sim) -> None:
    client, start = Client((1, POST[:-1]), None), sim.now()
    handle(client, hello, body_timeout_s=11, linger_s=3)
    assert page(client.got).body == b"hello"
    assert sim.now() - start == pytest.approx(15)


def test_a_body_that_nobody_reads_and_that_drips_is_not_waited_for(sim: Sim) -> None:
    drops = [(2, b"x")] * 20
    client, start = Client((1, POST[:-3].replace(b": 3", b": 40")), *drops, None), sim.now()
    handle(client, hello, body_timeout_s=11, linger_s=3)
    assert page(client.got).body == b"hello"
    assert sim.now() - start == pytest.approx(15, abs=1.1)


def test_who_was_heard_out_is_not_waited_for(sim: Sim) -> None:
    for data in (POST, CHUNKED):
        last = data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        client, start = Client((1, last), None), sim.now()
        handle(client, echo)
        assert (page(client.got).body, sim.now() - start) == (b"abc", pytest.approx(1))


@pytest.mark.parametrize("takes", [0, 10, 200, 70_000])
def test_a_client_that_takes_nothing_is_let_go(sim: Sim, takes: int) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"x" * 1000
        yield b"x" * 1_000_000

    client, start = Client((1, GET), None, takes=takes), sim.now()
    server = handle(client, application, send_timeout_s=11)
    assert len(client.got) == takes
    assert sim.now() - start == pytest.approx(12)
    assert client.options  # it is reset: else it would take the end for the body's
    assert server.error_log.getvalue() == ""


def test_in_another_protocol_silence_means_nothing(sim: Sim) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("101 Switching Protocols", [("Connection", "Upgrade")])(b"")
        assert environ["wsgi.input"].read(5) == b"frame"
        return []

    upgrade = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
    client, start = Client((1, upgrade), (3600, b"frame")), sim.now()
    handle(client, application)
    assert (client.timeout, sim.now() - start) == (None, pytest.approx(3601))


def test_who_is_killed_leaves_a_connection_that_is_reset(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"one"
        fibril.sleep(60)

    server: WSGIServer = make_server(application)
    client, connection = socketpair()
    task = fibril.spawn(server.handle, connection, PEER)
    with client:
        client.sendall(GET)
        assert b"one" in client.recv(65536)
        task.kill()
        assert (client.recv(65536), connection.fileno()) == (b"", -1)
