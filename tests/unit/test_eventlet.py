"""eventlet's names: a package whose modules hold them all, on request only."""

from pathlib import Path

import pytest

from tests.conftest import Interpreter

INSTALL = "from fibril import compat; compat.install('eventlet', 'greenlet')\n"

# What programs import, by module: those of OpenStack, celery, gunicorn and nameko among them.
NAMES = {
    "eventlet": "GreenPool GreenPile Event Queue Semaphore BoundedSemaphore CappedSemaphore Timeout"
    " with_timeout wrap_is_timeout is_timeout spawn spawn_n spawn_after spawn_after_local sleep"
    " kill getcurrent connect listen serve wrap_ssl StopServe monkey_patch import_patched"
    " greenthread greenpool hubs patcher queue event semaphore timeout greenio convenience green"
    " support __version__",
    "eventlet.backdoor": "backdoor backdoor_server SocketConsole",
    "eventlet.convenience": "connect listen serve wrap_ssl StopServe ReuseRandomPortWarning",
    "eventlet.corolocal": "local get_ident",
    "eventlet.dagpool": "DAGPool Collision PropagateError",
    "eventlet.db_pool": "ConnectionPool RawConnectionPool TpooledConnectionPool ConnectTimeout"
    " DatabaseConnector PooledConnectionWrapper GenericConnectionWrapper cleanup_rollback",
    "eventlet.debug": "spew unspew Spew format_hub_listeners format_hub_timers hub_exceptions"
    " hub_listener_stacks hub_timer_stacks hub_prevent_multiple_readers tpool_exceptions"
    " hub_blocking_detection",
    "eventlet.event": "Event NOT_USED",
    "eventlet.greenio": "GreenSocket GreenPipe shutdown_safe set_nonblocking SOCKET_BLOCKING"
    " SOCKET_CLOSED _GLOBAL_DEFAULT_TIMEOUT",
    "eventlet.greenpool": "GreenPool GreenPile GreenMap",
    "eventlet.greenthread": "GreenThread getcurrent sleep spawn spawn_n spawn_after"
    " spawn_after_local kill cancel exc_after call_after call_after_global call_after_local",
    "eventlet.hubs": "get_hub use_hub get_default_hub trampoline notify_close notify_opened"
    " IOClosed",
    "eventlet.hubs.hub": "BaseHub READ WRITE FdListener",
    "eventlet.hubs.timer": "Timer LocalTimer",
    "eventlet.patcher": "monkey_patch is_monkey_patched already_patched original import_patched"
    " inject slurp_properties",
    "eventlet.pools": "Pool TokenPool Token",
    "eventlet.queue": "Queue PriorityQueue LifoQueue LightQueue Empty Full",
    "eventlet.semaphore": "Semaphore BoundedSemaphore CappedSemaphore",
    "eventlet.support": "get_errno bytes_to_str greenlets",
    "eventlet.support.greendns": "getaddrinfo gethostbyname is_ipv6_addr",
    "eventlet.support.greenlets": "greenlet getcurrent GreenletExit",
    "eventlet.timeout": "Timeout with_timeout wrap_is_timeout is_timeout",
    "eventlet.tpool": "execute Proxy killall set_num_threads setup",
    "eventlet.wsgi": "server Server HttpProtocol Input ALREADY_HANDLED WSGI_LOCAL MAX_REQUEST_LINE"
    " DEFAULT_LOG_FORMAT DEFAULT_MAX_SIMULTANEOUS_REQUESTS format_date_time ChunkReadError",
    "eventlet.websocket": "WebSocketWSGI RFC6455WebSocket ConnectionClosedError BadRequest"
    " ProtocolError FailedConnectionError",
    "eventlet.green.socket": "socket create_connection socketpair fromfd gethostbyname AF_INET",
    "eventlet.green.ssl": "SSLContext wrap_socket GreenSSLSocket create_default_context",
    "eventlet.green.select": "select get_fileno",
    "eventlet.green.selectors": "DefaultSelector",
    "eventlet.green.os": "read write fork waitpid wait path environ",
    "eventlet.green.subprocess": "Popen call check_call check_output run PIPE",
    "eventlet.green.threading": "Thread Lock Event Condition current_thread local",
    "eventlet.green.thread": "start_new_thread allocate_lock get_ident Lock error",
    "eventlet.green.time": "sleep time monotonic",
    "eventlet.green.Queue": "Queue PriorityQueue LifoQueue Empty Full",
    "eventlet.green.builtin": "open",
    "eventlet.green.ftplib": "FTP",
    "eventlet.green.http.client": "HTTPConnection HTTPSConnection HTTPResponse",
    "eventlet.green.http.server": "HTTPServer BaseHTTPRequestHandler",
    "eventlet.green.http.cookies": "SimpleCookie",
    "eventlet.green.http.cookiejar": "CookieJar",
    "eventlet.green.httplib": "HTTPConnection",
    "eventlet.green.BaseHTTPServer": "HTTPServer BaseHTTPRequestHandler",
    "eventlet.green.SimpleHTTPServer": "SimpleHTTPRequestHandler",
    "eventlet.green.SocketServer": "TCPServer ThreadingMixIn",
    "eventlet.green.urllib.request": "urlopen Request",
    "eventlet.green.urllib.parse": "quote urlparse",
    "eventlet.green.urllib.error": "HTTPError URLError",
    "eventlet.green.urllib2": "urlopen",
}


def test_the_names_that_programs_use_are_there(interpreter: Interpreter) -> None:
    program = f"""
import importlib
for name, wanted in {NAMES!r}.items():
    module = importlib.import_module(name)
    missing = [each for each in wanted.split() if not hasattr(module, each)]
    missing += [each for each in getattr(module, "__all__", ()) if not hasattr(module, each)]
    if missing:
        print(name, missing)
"""
    assert interpreter.out(INSTALL + program) == ""


def test_their_examples_run(interpreter: Interpreter) -> None:
    program = f"""
import doctest, importlib
count = 0
for name in {list(NAMES)!r}:
    found = doctest.testmod(importlib.import_module(name))
    assert not found.failed, name
    count += found.attempted
print(count > 20)
"""
    assert interpreter.out(INSTALL + program) == "True\n"


def test_addresses_are_told_from_names(interpreter: Interpreter) -> None:
    program = """
from eventlet.support import greendns
for host, is_4, is_6 in (("192.0.2.1", True, False), ("::1%2", False, True), ("x", False, False)):
    assert greendns.is_ipv4_addr(host) is is_4 and greendns.is_ipv6_addr(host) is is_6
    assert greendns.is_ip_addr(host) is (is_4 or is_6)
assert not greendns.is_ip_addr(None)
"""
    assert interpreter.out(INSTALL + program) == ""


def test_it_is_served_on_request_only(interpreter: Interpreter) -> None:
    text = """
from fibril import compat
compat.install()
try:
    import eventlet
except ImportError as error:
    print(error.name)
"""
    assert interpreter.out(text) == "eventlet\n"


def test_the_option_serves_it_to_a_program(interpreter: Interpreter, tmp_path: Path) -> None:
    program = tmp_path / "mine.py"
    program.write_text(
        "import eventlet, greenlet, fibril, time\n"
        "assert eventlet.getcurrent is fibril.getcurrent is greenlet.getcurrent\n"
        "print(eventlet.__version__, eventlet.spawn(len, 'abc').wait(), time.sleep)\n",
        encoding="utf-8",
    )
    text = f"""
import sys
from fibril.cli import main
sys.exit(main(["run", "--eventlet", {str(program)!r}]))
"""
    assert interpreter.out(text) == "0.41.3 3 <built-in function sleep>\n"


def test_the_shim_serves_it_to_children(interpreter: Interpreter, tmp_path: Path) -> None:
    text = f"""
import sys
from fibril.cli import main
sys.exit(main(["shim", "--eventlet", {str(tmp_path / "shims")!r}]))
"""
    assert "eventlet 0.41.3, greenlet" in interpreter.out(text)
    child = (
        "import eventlet, importlib.metadata as m; print(eventlet.sleep(0), m.version('eventlet'))"
    )
    assert interpreter.out(child, PYTHONPATH=str(tmp_path / "shims")) == "None 0.41.3\n"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import eventlet.coros", "ModuleNotFoundError: cannot import 'eventlet.coros': fibril"),
        ("import eventlet; eventlet.nope", "AttributeError: module 'eventlet' has no attribute"),
        ("from eventlet.queue import nope", "ImportError: cannot import name 'nope'"),
    ],
)
def test_what_is_not_there_is_said(interpreter: Interpreter, statement: str, message: str) -> None:
    done = interpreter.run(INSTALL + statement)
    assert done.status == 1
    assert message in done.err.splitlines()[-1]


def test_a_name_that_is_not_served_is_refused(interpreter: Interpreter) -> None:
    done = interpreter.run("from fibril import compat; compat.install('tornado')")
    assert "fibril serves eventlet, gevent and greenlet" in done.err.splitlines()[-1]
