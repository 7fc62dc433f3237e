"""A web server that answers with the number that it is asked for. A program, not a test.

python -m tests.clients.web PORT
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    """GET /?number=7, or POST with the number as the body."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(parse_qs(urlsplit(self.path).query)["number"][0].encode())

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = 1000

    def handle_error(self, *_: object) -> None:
        pass  # clients are killed


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
