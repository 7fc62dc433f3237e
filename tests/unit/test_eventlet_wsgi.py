"""eventlet.wsgi and eventlet.websocket: what eventlet puts around fibril's HTTP, and messages."""

import pytest

from tests.conftest import Interpreter

pytest.importorskip("httptools", reason="eventlet.wsgi reads requests by it: fibril[wsgi]")

BEGIN = """
from fibril import compat
compat.install("eventlet", "greenlet")
import io
import eventlet
from eventlet import websocket, wsgi
log = io.StringIO()
listener = eventlet.listen(("127.0.0.1", 0))
def serve(site, **options):
    thread = eventlet.spawn(wsgi.server, listener, site, log, **options)
    eventlet.sleep(0)
    return thread
def ask(*lines, body=b""):
    client = eventlet.connect(listener.getsockname())
    client.sendall("\\r\\n".join([*lines, "", ""]).encode("latin-1") + body)
    with eventlet.Timeout(10):
        return client.makefile("rb").read()
def hello(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain"), ("x-number", 3)])
    return ["hello"]
CLOSE = ("GET /path HTTP/1.1", "Connection: close", "X-Forwarded-For: 192.0.2.1")
"""


def test_an_application_is_served_and_logged(interpreter: Interpreter) -> None:
    text = """
thread = serve(hello)
answer = ask(*CLOSE)
assert answer.startswith(b"HTTP/1.1 200 OK\\r\\n") and answer.endswith(b"\\r\\n\\r\\nhello"), answer
assert b"Content-Type: text/plain" in answer and b"X-Number: 3" in answer
said = log.getvalue()
assert f"wsgi starting up on http://127.0.0.1:{listener.getsockname()[1]}" in said
assert "accepted ('127.0.0.1'," in said
assert '192.0.2.1,127.0.0.1 - - [' in said and '"GET /path HTTP/1.1" 200 ' in said
thread.kill()
assert "wsgi exited" in log.getvalue() and listener.fileno() == -1
"""
    assert interpreter.out(BEGIN + text) == ""


def test_the_environment_has_eventlets_names(interpreter: Interpreter) -> None:
    text = """
ran = []
def site(environ, start_response):
    body = environ["eventlet.input"]
    assert body is environ["wsgi.input"] and body.get_socket().fileno() > 0
    assert ("X-Forwarded-For", "192.0.2.1") in environ["headers_raw"]
    assert environ["RAW_PATH_INFO"] == "/path" and environ["mine"] == 5
    hook = lambda env, *args, **kw: ran.append((args, kw))
    environ["eventlet.posthooks"].append((hook, (1,), {"a": 2}))
    start_response("200 OK", [])
    return [body.read()]
serve(site, environ={"mine": 5})
assert ask(*CLOSE, "Content-Length: 3", body=b"abc").endswith(b"\\r\\n\\r\\nabc")
assert ran == [((1,), {"a": 2})]
"""
    assert interpreter.out(BEGIN + text) == ""


def test_who_has_answered_by_himself_says_so(interpreter: Interpreter) -> None:
    text = """
def site(environ, start_response):
    environ["eventlet.input"].get_socket().sendall(b"raw")
    if environ["PATH_INFO"] == "/path":
        wsgi.WSGI_LOCAL.already_handled = True
        return []
    return wsgi.ALREADY_HANDLED
serve(site)
assert ask(*CLOSE) == b"raw" == ask("GET / HTTP/1.1")
"""
    assert interpreter.out(BEGIN + text) == ""


@pytest.mark.parametrize(("is_debug", "shown"), [(True, b"KeyError: 'k'"), (False, b"")])
def test_an_error_is_shown_if_asked_for(
    interpreter: Interpreter, is_debug: bool, shown: bytes
) -> None:
    text = f"""
def site(environ, start_response):
    raise KeyError("k")
serve(site, debug={is_debug})
head, _, body = ask(*CLOSE).partition(b"\\r\\n\\r\\n")
assert head.startswith(b"HTTP/1.1 500 Internal Server Error") and {shown!r} in body
assert bool(body) is {is_debug} and "KeyError: 'k'" in log.getvalue()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_options_change_what_they_say(interpreter: Interpreter) -> None:
    text = """
def again():
    global listener
    listener = eventlet.listen(("127.0.0.1", 0))
    log.truncate(0)
serve(hello, keepalive=False, capitalize_response_headers=False, log_format="%(status_code)s!")
answer = ask("GET / HTTP/1.1")
assert b"content-type:" in answer and "200!\\n" in log.getvalue()
again()
serve(hello, keepalive=2.5, log_output=False, url_length_limit=50)
answer = ask("GET / HTTP/1.1", "Connection: keep-alive", "", "GET / HTTP/1.1", "Connection: close")
assert b"Keep-Alive: timeout=2" in answer and log.getvalue() == ""
assert b" 414 " in ask("GET /" + "x" * 60 + " HTTP/1.1")
again()
idle = eventlet.connect(listener.getsockname())
thread = serve(hello, socket_timeout=0.01)
assert idle.recv(1) == b""
again()
pool = eventlet.GreenPool(1)
serve(hello, custom_pool=pool)
kept = eventlet.connect(listener.getsockname())
eventlet.sleep(0.01)
assert pool.running() == 1
assert isinstance(eventlet.with_timeout(5, lambda: (kept.close(), pool.waitall())), tuple)
try:
    wsgi.server(listener, hello, nope=1)
except TypeError as error:
    assert "nope" in str(error)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_it_ends_with_its_listener_and_idle_connections(interpreter: Interpreter) -> None:
    text = """
thread = serve(hello)
idle = eventlet.connect(listener.getsockname())
idle.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
assert idle.recv(999).endswith(b"hello")
listener.close()
with eventlet.Timeout(5):
    thread.wait()
    assert idle.recv(1) == b""
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_request_that_is_under_way_is_answered(interpreter: Interpreter) -> None:
    text = """
def site(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]
thread = serve(site)
client = eventlet.connect(listener.getsockname())
client.sendall(b"PUT / HTTP/1.1\\r\\nContent-Length: 3\\r\\n\\r\\n")
eventlet.sleep(0)
listener.close()
eventlet.sleep(0.5)
client.sendall(b"abc")
with eventlet.Timeout(5):
    assert client.makefile("rb").read().endswith(b"abc")
    thread.wait()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_an_application_may_answer_when_it_is_iterated(interpreter: Interpreter) -> None:
    text = """
closed = []
def site(environ, start_response):
    try:
        if environ["PATH_INFO"] == "/path":
            environ["eventlet.input"].get_socket().sendall(b"raw")
            wsgi.WSGI_LOCAL.already_handled = True
        else:
            start_response("200 OK", [])
            yield b"one"
            yield b"two"
    finally:
        closed.append(environ["PATH_INFO"])
serve(site)
assert ask(*CLOSE) == b"raw"
answer = ask("GET / HTTP/1.1", "Connection: close")
assert b"one" in answer and b"two" in answer and closed == ["/path", "/"]
"""
    assert interpreter.out(BEGIN + text) == ""


# ---- WebSockets ----

SHAKE = """
HANDSHAKE = (
    "GET /chat HTTP/1.1", "Upgrade: websocket", "Connection: keep-alive, Upgrade", "Host: x",
    "Origin: http://x", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: d9MXuOzlVQ0h+qRllvSCIg==",
    "Sec-WebSocket-Protocol: a, b",
)
def shake_hands(*more):
    client = eventlet.connect(listener.getsockname())
    client.sendall("\\r\\n".join([*HANDSHAKE, *more, "", ""]).encode())
    answer = client.recv(999)
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\\r\\n"), answer
    assert b"Sec-WebSocket-Accept: ywSyWXCPNsDxLrQdQrn5RFNRfBU=\\r\\n" in answer
    return client, answer
ended = []
@websocket.WebSocketWSGI.configured(
    supported_protocols=["b"], origin_checker=lambda origin: "evil" not in origin,
    max_frame_length=1000,
)
def echo(ws):
    assert (ws.path, ws.origin, ws.protocol) == ("/chat", "http://x", "b")
    while (message := ws.wait()) is not None:
        ws.send(message)
    ended.append(ws._remote_close_data)
serve(echo)
"""


@pytest.mark.parametrize("is_compressed", [False, True])
def test_messages_come_back(interpreter: Interpreter, is_compressed: bool) -> None:
    text = f"""
offer = ["Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"]
client, answer = shake_hands(*(offer if {is_compressed} else []))
assert b"Sec-WebSocket-Protocol: b" in answer
assert (b"permessage-deflate; client_no_context_takeover" in answer) is {is_compressed}
agreed = {{"permessage-deflate": {{"client_no_context_takeover": True}}}}
agreed = agreed if {is_compressed} else None
ws = websocket.RFC6455WebSocket(client, {{}}, client=True, extensions=agreed)
for message in ("text \\u20ac", b"bytes", b"x" * 900, "", "text \\u20ac"):
    ws.send(message)
    assert ws.wait() == message
ws._send(ws._packed(9, b"ping"))
assert ws._recv_frame().getvalue() == b"ping"
ws.close((1000, "bye"))
eventlet.sleep(0.05)
assert ended == [b"\\x03\\xe8bye"], ended
"""
    assert interpreter.out(BEGIN + SHAKE + text) == ""


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x07\xff", 1002),  # an opcode that is none
        (b"\x81\x01x", 1002),  # not masked
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # not UTF-8
        (b"\x82\xfe\x04\x00\x00\x00\x00\x00", 1009),  # too long
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # continues nothing
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # compressed, which was not agreed on
        (b"\x09\x80\x00\x00\x00\x00", 1002),  # a ping in pieces
    ],
)
def test_what_cannot_be_ends_it_with_a_reason(
    interpreter: Interpreter, frame: bytes, code: int
) -> None:
    text = f"""
client, _ = shake_hands()
client.sendall({frame!r})
ws = websocket.RFC6455WebSocket(client, {{}}, client=True)
assert ws.wait() is None
assert int.from_bytes(ws._remote_close_data[:2], "big") == {code}
eventlet.sleep(0.05)
assert ended == [None]
"""
    assert interpreter.out(BEGIN + SHAKE + text) == ""


def test_pieces_are_put_together(interpreter: Interpreter) -> None:
    text = r"""
client, _ = shake_hands()
mask = b"\x00\x00\x00\x00"
client.sendall(b"\x01\x82" + mask + b"he" + b"\x89\x80" + mask + b"\x80\x83" + mask + b"llo")
ws = websocket.RFC6455WebSocket(client, {}, client=True)
assert ws.wait() == "hello"
client.close()
eventlet.sleep(0.05)
assert ended == [None]
"""
    assert interpreter.out(BEGIN + SHAKE + text) == ""


def test_a_server_that_ends_ends_its_websockets(interpreter: Interpreter) -> None:
    text = """
client, _ = shake_hands()
listener.close()
ws = websocket.RFC6455WebSocket(client, {}, client=True)
with eventlet.Timeout(5):
    assert ws.wait() is None
assert ended == [None]
"""
    assert interpreter.out(BEGIN + SHAKE + text) == ""


@pytest.mark.parametrize("version", [75, 76])
def test_the_drafts_are_spoken_too(interpreter: Interpreter, version: int) -> None:
    text = f"""
version = {version}
@websocket.WebSocketWSGI
def echo(ws):
    assert ws.version == version
    while (message := ws.wait()) is not None:
        ws.send(message)
serve(echo)
lines = ["GET /e?q=1 HTTP/1.1", "Upgrade: WebSocket", "Connection: Upgrade", "Host: h", "Origin: o"]
keys = ["Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00"]
head = "\\r\\n".join([*lines, *(keys if version == 76 else []), "", ""]).encode()
client = eventlet.connect(listener.getsockname())
client.sendall(head + b"^n:ds[4U" * (version == 76) + b"\\x00early\\xff")
client.sendall(b"\\x00la")
file = client.makefile("rb")
while (line := file.readline().strip()):
    answer = line
assert answer.endswith(b"WebSocket-Location: ws://h/e?q=1"), answer
if version == 76:
    assert file.read(16) == b"8jKS'y:G*Co,Wxa-"
assert file.read(7) == b"\\x00early\\xff"
client.sendall(b"te\\xff\\xff\\x00")
assert file.read(6) == b"\\x00late\\xff" and file.read() in (b"", b"\\xff\\x00")
from eventlet.websocket_drafts import key_number
assert key_number("4 @1  46546xW%0l 1 5") == 829309203
assert key_number("1") is key_number(" ") is None
"""
    assert interpreter.out(BEGIN + text) == ""


def test_what_is_no_handshake_is_refused(interpreter: Interpreter) -> None:
    text = """
def refused(status, drop, *more):
    lines = [line for line in HANDSHAKE if not line.startswith(drop)]
    answer = ask(*lines, *more)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) and b"Connection: close" in answer
refused(400, "Connection", "Connection: close")
refused(400, "Upgrade")
refused(400, "Sec-WebSocket-Key")
refused(400, "Sec-WebSocket-Key", "Sec-WebSocket-Key: short")
refused(426, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 5")
refused(403, "Origin", "Origin: http://evil")
"""
    assert interpreter.out(BEGIN + SHAKE + text) == ""


def test_of_offers_the_first_that_can_be_is_chosen(interpreter: Interpreter) -> None:
    text = """
from eventlet import permessage_deflate
chosen, described = permessage_deflate.chosen, permessage_deflate.described
assert chosen("") == chosen("x-other") == chosen("permessage-deflate; nope") == {}
assert chosen("permessage-deflate; client_max_window_bits=16, permessage-deflate") == {
    "permessage-deflate": {}
}
agreed = chosen('PerMessage-Deflate; Client_Max_Window_Bits; server_max_window_bits = "10"')
assert described(agreed) == (
    "permessage-deflate; client_max_window_bits=15; server_max_window_bits=10"
)
assert chosen("permessage-deflate; server_no_context_takeover=1") == {}
one, other = (permessage_deflate.Deflate({}, is_client) for is_client in (True, False))
assert other.inflate(one.deflate(b"x" * 100), 100) == b"x" * 100
assert other.inflate(one.deflate(b"x" * 101), 100) is None and other.inflate(b"nonsense", 9) is None
"""
    assert interpreter.out(BEGIN + text) == ""
