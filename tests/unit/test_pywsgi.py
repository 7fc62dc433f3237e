"""fibril.pywsgi: a server, its arguments, and its end."""

import io
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import pywsgi, socket
from fibril.pywsgi import (
    Environ,
    LoggingLogAdapter,
    SecureEnviron,
    WSGIHandler,
    WSGISecureEnviron,
    WSGIServer,
)
from tests.conftest import Interpreter
from tests.unit.pages import GET, hello, make_server, page, pages, talk

LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def fetch(server: WSGIServer, data: bytes = LAST) -> bytes:
    with socket.create_connection(server.address) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65536), b""))


def slowly(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    fibril.sleep(float(environ["QUERY_STRING"] or 0))
    return hello(environ, start_response)


# ---- serving ----


def test_a_server_serves_many_at_once(fresh: None) -> None:
    with make_server(slowly) as server:
        server.start()
        tasks = [fibril.spawn(fetch, server, LAST.replace(b"/ ", b"/?0.01 ")) for _ in range(50)]
        assert {page(task.get()).body for task in tasks} == {b"hello"}


def test_the_environment_has_the_servers_name_and_port(fresh: None) -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    with make_server(application) as server:
        server.start()
        fetch(server)
        assert seen[0]["SERVER_PORT"] == str(server.server_port)
        assert seen[0]["SERVER_NAME"] == server.environ["SERVER_NAME"] != ""
        assert seen[0]["REMOTE_ADDR"] == "127.0.0.1"


def test_answers_do_not_wait_for_acknowledgements(fresh: None) -> None:
    class Handler(WSGIHandler):
        def handle(self) -> None:
            options.append(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().handle()

    options: list[int] = []
    with make_server(handler_class=Handler) as server:
        server.start()
        fetch(server)
    assert options
    assert options[0] != 0


def test_a_server_speaks_tls(fresh: None, tls_contexts: tuple[Any, Any]) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        yield environ["wsgi.url_scheme"].encode()
        yield environ["wsgi.input"].read()

    at_server, at_client = tls_contexts
    with make_server(application, ssl_context=at_server) as server:
        server.start()
        body = bytes(300_000)
        data = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
        with at_client.wrap_socket(socket.create_connection(server.address)) as client:
            client.suppress_ragged_eofs = False  # the end is told, too
            client.sendall(data + body)
            got = b"".join(iter(lambda: client.recv(65536), b""))
    assert page(got).body == b"https" + body


def test_files_are_sent_by_tls(fresh: None, tls_contexts: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 1000)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    at_server, at_client = tls_contexts
    with make_server(application, ssl_context=at_server) as server:
        server.start()
        with at_client.wrap_socket(socket.create_connection(server.address)) as client:
            client.sendall(LAST)
            got = b"".join(iter(lambda: client.recv(65536), b""))
    assert page(got).body == bytes(range(256)) * 1000


def test_a_server_of_a_unix_socket(fresh: None, tmp_path: Any) -> None:
    with WSGIServer(f"unix:{tmp_path / 'socket'}", hello, log=None) as server:
        server.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
            client.sendall(LAST)
            assert page(b"".join(iter(lambda: client.recv(65536), b""))).body == b"hello"


def test_an_application_may_be_a_method(fresh: None) -> None:
    class Server(WSGIServer):
        def application(self, environ: Any, start_response: Any) -> Any:  # type: ignore[override]
            return hello(environ, start_response)

    assert page(talk(Server("127.0.0.1:0", log=None), GET)).body == b"hello"


# ---- arguments ----


class Log:
    def __init__(self) -> None:
        self.lines: list[Any] = []

    def log(self, *record: Any) -> None:
        self.lines.append(record)


def test_logs_are_files_loggers_or_nothing(fresh: None, capsys: Any) -> None:
    server = WSGIServer("127.0.0.1:0", hello)
    assert server.log is server.error_log is sys.stderr
    logger, file = Log(), io.StringIO()
    server = make_server(log=logger, error_log=file)
    assert server.environ["wsgi.errors"] is server.error_log is file
    talk(server, GET)
    (record,) = logger.lines
    assert (record[0], '"GET / HTTP/1.1" 200' in record[1]) == (logging.INFO, True)
    logger = Log()
    talk(make_server(error_log=logger), b"garbage\r\n\r\n")
    assert logger.lines[0][0] == logging.ERROR
    nothing = make_server(log=None, error_log=None)
    talk(nothing, GET + b"garbage\r\n\r\n")
    nothing.log.writelines(["a"])
    nothing.log.flush()
    assert capsys.readouterr() == ("", "")


def test_a_logger_is_seen_through_its_file() -> None:
    logger: Any = Log()
    log: Any = LoggingLogAdapter(logger, 7)
    log.writelines(["a\n", "b %s"])
    log.flush()
    log.extra = 1
    assert (logger.lines, logger.extra, log.extra) == ([(7, "a"), (7, "b %s")], 1, 1)
    del log.extra
    assert not hasattr(logger, "extra")


def test_environments_begin_with_what_the_server_was_given(fresh: None) -> None:
    class Server(WSGIServer):
        environ_class = Environ
        base_env = {**WSGIServer.base_env, "base": 1}  # noqa: RUF012

    server = Server("127.0.0.1:0", hello, log=None, environ={"mine": 2, "wsgi.errors": "e"})
    environ = server.get_environ()
    assert (environ["base"], environ["mine"], environ["wsgi.errors"]) == (1, 2, "e")
    assert (type(environ), environ is server.environ) == (Environ, False)
    server.set_environ({"mine": 3})
    assert server.get_environ()["mine"] == 3
    assert server.max_accept != 1
    assert make_server(environ={"wsgi.multiprocess": True}).max_accept == 1


def test_without_httptools_a_server_says_what_to_install(interpreter: Interpreter) -> None:
    out = interpreter.out(
        """
        import sys
        sys.modules["httptools"] = None
        from fibril import pywsgi
        try:
            pywsgi.WSGIServer("127.0.0.1:0", None)
        except ImportError as error:
            print(error, error.name)
        """
    )
    assert "pip install 'fibril[wsgi]'" in out
    assert out.endswith(" httptools\n")


# ---- environments that are printed ----


def test_environments_do_not_show_what_is_secret() -> None:
    environ = SecureEnviron(a=1, b="secret")
    assert "secret" not in repr(environ) + str(environ)
    environ.whitelist_keys = ["a"]
    assert repr(environ) == "{'a': 1, 'b': '<MASKED>'}"
    environ.print_masked_keys = False
    assert str(environ) == "{'a': 1, (hidden keys: 1)}"
    environ.whitelist_keys = ["c"]
    assert repr(environ) == "{(hidden keys: 2)}"
    environ.secure_repr = False
    assert repr(environ) == "{'a': 1, 'b': 'secret'}"
    with pytest.raises(AttributeError, match="other"):
        environ.other  # noqa: B018
    copy = WSGISecureEnviron(REMOTE_ADDR="::1").copy()
    assert (type(copy), repr(copy)) == (WSGISecureEnviron, "{'REMOTE_ADDR': '::1'}")
    loaded = pickle.loads(pickle.dumps(environ))
    assert (type(loaded), loaded) == (dict, environ)
    assert list(environ.iteritems()) == [("a", 1), ("b", "secret")]


def test_errors_are_printed_without_what_is_secret(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise ValueError("no")

    hub, stream = fibril.get_hub(), io.StringIO()
    hub.exception_stream = stream
    talk(make_server(application), GET.replace(b"Host", b"Authorization: secret\r\nHost"))
    assert "ValueError: no" in stream.getvalue()
    assert "secret" not in stream.getvalue()
    assert "me.invalid" in stream.getvalue()


# ---- the end ----


def test_stop_waits_for_requests_and_tells_clients_that_it_is_the_end(fresh: None) -> None:
    for spawn in ("default", 10):
        server = make_server(slowly, spawn=spawn)
        server.stop_timeout = 20
        server.start()
        task = fibril.spawn(fetch, server, GET.replace(b"/ ", b"/?0.02 "))
        with socket.create_connection(server.address) as idle:
            fibril.sleep(0.01)
            server.stop()
            answer = page(task.get())
            assert (answer.body, answer.fields["connection"]) == (b"hello", "close")
            assert idle.recv(1) == b""


def test_a_request_under_way_at_the_end_is_answered(fresh: None) -> None:
    server = make_server()
    server.stop_timeout, server.last_request_s = 20, 10
    server.start()
    with socket.create_connection(server.address) as kept:
        kept.sendall(GET)
        assert b"hello" in kept.recv(65536)
        stopping = fibril.spawn(server.stop)
        fibril.sleep(0.01)
        kept.sendall(GET)
        answer = page(b"".join(iter(lambda: kept.recv(65536), b"")))
        assert (answer.body, answer.fields["connection"]) == (b"hello", "close")
        stopping.get(timeout=5)


def test_idle_connections_end_soon_after_the_server(fresh: None) -> None:
    server = make_server()
    server.stop_timeout, server.last_request_s = 20, 0.01
    server.start()
    with socket.create_connection(server.address) as kept, socket.create_connection(server.address):
        kept.sendall(GET)
        assert b"hello" in kept.recv(65536)
        server.stop()
        assert kept.recv(1) == b""


def test_idle_tls_connections_end_as_well(fresh: None, tls_contexts: tuple[Any, Any]) -> None:
    at_server, at_client = tls_contexts
    server = make_server(ssl_context=at_server)
    server.stop_timeout, server.last_request_s = 20, 0.01
    server.start()
    with at_client.wrap_socket(socket.create_connection(server.address)) as kept:
        kept.sendall(GET)
        assert b"hello" in kept.recv(65536)
        server.stop()
        assert kept.recv(1) == b""


def test_a_request_that_takes_too_long_is_given_up(fresh: None) -> None:
    server = make_server(slowly, spawn=10)
    server.start()
    with socket.create_connection(server.address) as client:
        client.sendall(GET.replace(b"/ ", b"/?60 "))
        fibril.sleep(0.01)
        server.stop(timeout=0.01)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_an_application_may_stop_its_server(fresh: None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        server.stop()
        return hello(environ, start_response)

    server = make_server(application)
    server.stop_timeout = 60
    server.start()
    task = fibril.spawn(server.serve_forever)
    assert page(fetch(server, GET)).fields["connection"] == "close"
    task.get(timeout=5)


def test_a_server_may_be_started_again(fresh: None) -> None:
    with make_server() as server:
        for _ in range(2):
            server.start()
            with socket.create_connection(server.address) as client:
                client.sendall(GET)
                got = client.recv(65536)
            assert "connection" not in pages(got)[0].fields
            server.stop()


def test_gevents_names_are_there(interpreter: Interpreter) -> None:
    out = interpreter.out(
        """
        from fibril import compat
        compat.install()
        from gevent import pywsgi
        from gevent.pywsgi import WSGIHandler, WSGIServer, _InvalidClientInput
        server = WSGIServer("127.0.0.1:0", None)
        print(server.environ["SERVER_SOFTWARE"].split()[0])
        pywsgi.MAX_REQUEST_LINE = 99
        print(WSGIHandler(None, None, server).rfile.line_bytes_max)
        print(issubclass(_InvalidClientInput, IOError))
        """
    )
    assert out.split() == ["gevent/26.9", "99", "True"]


def test_the_command_serves_an_application(interpreter: Interpreter) -> None:
    done = interpreter.run(
        """
        import sys
        from fibril import pywsgi
        class Server(pywsgi.WSGIServer):
            def serve_forever(self):
                print(self.address, self.application is len)
        sys.argv = ["pywsgi", "builtins:len", "-b", "127.0.0.1:8099"]
        pywsgi.main(Server)
        sys.argv = ["pywsgi", "builtins"]
        pywsgi.main(Server)
        """
    )
    assert done.out == "('127.0.0.1', 8099) True\n"
    assert (done.status, "module:callable" in done.err) == (2, True)


def test_dates_are_http(fresh: None) -> None:
    assert pywsgi.format_date_time(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"
