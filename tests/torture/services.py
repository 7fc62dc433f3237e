"""Libraries that talk to a native thread, ssl and grpcio, or are called back by C: ctypes."""

import threading
from typing import Any

from tests.torture.work import Work, library


@library
def ssl() -> Work:
    import socket
    import ssl

    import trustme

    work = Work()
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    def serve(end: socket.socket) -> None:
        with server_context.wrap_socket(end, server_side=True) as connection:
            connection.sendall(connection.recv(100) * 5000)

    def by_socketpair() -> int:
        near, far = socket.socketpair()
        thread = threading.Thread(target=serve, args=(far,))
        thread.start()
        total = 0
        with client_context.wrap_socket(near, server_hostname="localhost") as connection:
            connection.sendall(b"twenty bytes of text")
            while total < 100_000:
                total += len(connection.recv(10_000))
        thread.join()
        return total

    def by_memory() -> str | None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
        server = server_context.wrap_bio(to_server, to_client, server_side=True)
        for end in (client, server, client, server, client):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
        return client.version()

    work.value("socketpair", by_socketpair)
    work.value("memory", by_memory)
    work.value("context", lambda: len(ssl.create_default_context().get_ciphers()))
    return work


@library
def grpc() -> Work:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    work = Work()

    class Echo(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if details.method.endswith("Many"):
                return grpc.unary_stream_rpc_method_handler(lambda request, _: iter([request] * 50))
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request[::-1])

    server = grpc.server(ThreadPoolExecutor(4), handlers=(Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    work.server = server  # it ends with the last reference

    def ask(data: bytes) -> int:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = channel.unary_unary("/torture/One")(data, timeout=20)
            many = list(channel.unary_stream("/torture/Many")(data, timeout=20))
            return hash(answer) + len(many)

    work.value("small", lambda: ask(b"question"))
    work.value("large", lambda: ask(b"question" * 10_000))
    return work


@library
def ctypes() -> Work:
    import ctypes

    work = Work()
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    numbers = [number * 7919 % 1009 for number in range(500)]

    def sort(levels: int = 0) -> list[int]:
        array = (ctypes.c_int * len(numbers[: 500 if not levels else 2]))(
            *numbers[: 2 if levels else 500]
        )

        def compare(a: Any, b: Any) -> int:
            if levels > 1:
                sort(levels - 1)
            return a[0] - b[0]

        libc.qsort(array, len(array), ctypes.sizeof(ctypes.c_int), compare_type(compare))
        return list(array)

    def nest(levels: int) -> Any:
        made: Any = ctypes.c_int
        for _ in range(levels):
            made = type(
                "Nested", (ctypes.Structure,), {"_fields_": [("a", made), ("b", ctypes.c_int)]}
            )
        return ctypes.sizeof(made)

    work.value("sort", sort)
    work.value("sort in sort", lambda: sort(100))
    work.value("structures", lambda: nest(200))
    return work
