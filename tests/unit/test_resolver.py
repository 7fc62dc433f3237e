"""Name resolution: numeric hosts at once, names in native threads, the same question asked once."""

import _socket
import socket as stdlib
from collections.abc import Iterator
from typing import Any

import pytest

import fibril
from fibril import native, socket
from fibril._io import resolver
from fibril.dispatch.workers import Workers
from tests.conftest import until

ADDRESS = [(2, 1, 6, "", ("192.0.2.1", 80))]


class Lookups:
    """Stands for the C library's resolver: names wait until they are let go."""

    def __init__(self) -> None:
        self.real = _socket.getaddrinfo
        self.threads: list[int] = []
        self.names: list[object] = []
        self.gate = native.allocate_lock()
        self.error: Exception | None = None

    def getaddrinfo(self, host: Any, port: Any, *options: int) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if not name.endswith(".invalid") or options[-1] & stdlib.AI_NUMERICHOST:
            self.threads.append(native.get_ident())
            return self.real(host, port, *options)
        self.names.append(host)
        self.threads.append(native.get_ident())
        with self.gate:
            if self.error is not None:
                raise self.error
            return ADDRESS


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookups]:
    made = Lookups()
    monkeypatch.setattr(_socket, "getaddrinfo", made.getaddrinfo)
    yield made
    if made.gate.locked():
        made.gate.release()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", b"127.0.0.1", None, "fe80::1%1"])
def test_a_numeric_host_never_leaves_the_thread(fresh: None, lookups: Lookups, host: Any) -> None:
    others: list[int] = []
    fibril.spawn(others.append, 1)
    assert resolver.getaddrinfo(host, 80) == stdlib.getaddrinfo(host, 80)
    assert set(lookups.threads) == {native.get_ident()}
    assert others == []
    fibril.sleep(0)


def test_results_are_the_standard_librarys_with_its_enum_members(fresh: None) -> None:
    found = resolver.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert found == stdlib.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert isinstance(found[0][0], stdlib.AddressFamily)
    assert isinstance(found[0][1], stdlib.SocketKind)
    assert {type(entry) for entry in found} == {tuple}


def test_others_run_while_a_name_is_looked_up(fresh: None, lookups: Lookups) -> None:
    lookups.gate.acquire()
    task = fibril.spawn(resolver.getaddrinfo, "example.invalid", 80)
    until(lambda: lookups.names)
    assert not task.ready()
    lookups.gate.release()
    assert task.get() == ADDRESS
    assert lookups.threads[-1] != native.get_ident()


def test_the_same_question_at_the_same_time_is_asked_once(fresh: None, lookups: Lookups) -> None:
    lookups.gate.acquire()
    tasks = [fibril.spawn(resolver.getaddrinfo, "example.invalid", 80) for _ in range(50)]
    tasks.append(fibril.spawn(resolver.getaddrinfo, "other.invalid", 80))
    until(lambda: len(lookups.names) == 2)
    lookups.gate.release()
    answers = [task.get() for task in tasks]
    assert answers == [ADDRESS] * 51
    assert answers[0] is not answers[1]
    assert sorted(map(str, lookups.names)) == ["example.invalid", "other.invalid"]


def test_a_question_after_the_answer_is_asked_again(fresh: None, lookups: Lookups) -> None:
    for _ in range(3):
        resolver.getaddrinfo("example.invalid", 80)
    assert len(lookups.names) == 3


def test_an_error_comes_to_each_who_asked_as_its_own(fresh: None, lookups: Lookups) -> None:
    lookups.gate.acquire()
    lookups.error = stdlib.gaierror(stdlib.EAI_AGAIN, "not now")
    tasks = [fibril.spawn(resolver.getaddrinfo, "example.invalid", 80) for _ in range(3)]
    until(lambda: lookups.names)
    lookups.gate.release()
    fibril.joinall(tasks)
    errors = [task.exception for task in tasks]
    assert [(type(error), error.args) for error in errors if error] == [
        (stdlib.gaierror, (stdlib.EAI_AGAIN, "not now"))
    ] * 3
    assert len({id(error) for error in errors}) == 3


def test_who_is_killed_while_waiting_does_not_spoil_it_for_others(
    fresh: None, lookups: Lookups
) -> None:
    lookups.gate.acquire()
    first, second = (fibril.spawn(resolver.getaddrinfo, "example.invalid", 80) for _ in range(2))
    until(lambda: lookups.names)
    first.kill()
    lookups.gate.release()
    assert second.get() == ADDRESS
    assert fibril.get_hub().statistics()["expected"] == 0


def test_where_no_thread_can_be_started_the_next_who_asks_is_not_kept_waiting(
    fresh: None, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(resolver, "_workers", Workers(1))
        patch.setattr(native, "start_new_thread", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            resolver.getaddrinfo("example.invalid", 80)
    assert fibril.get_hub().statistics()["expected"] == 0
    assert resolver.getaddrinfo("example.invalid", 80) == ADDRESS


def test_of_two_who_begin_to_ask_at_once_each_is_answered(
    fresh: None, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Twice(dict[Any, Any]):
        """Another native thread asks the same just when it was seen that nobody does."""

        others: list[Any] = []  # noqa: RUF012

        def get(self, key: Any, default: Any = None) -> Any:
            found = super().get(key, default)
            if found is None and not self.others:
                self.others.append(None)
                self.others[0] = fibril.spawn(resolver.getaddrinfo, "example.invalid", 80)
                fibril.sleep(0)
            return found

    lookups.gate.acquire()
    asked = Twice()
    monkeypatch.setattr(resolver, "_lookups", asked)
    task = fibril.spawn(resolver.getaddrinfo, "example.invalid", 80)
    until(lambda: len(lookups.names) == 2)
    lookups.gate.release()
    assert [task.get(), asked.others[0].get()] == [ADDRESS, ADDRESS]
    assert asked == {}


def test_a_look_up_under_way_is_no_dead_end(fresh: None, lookups: Lookups) -> None:
    lookups.gate.acquire()
    task = fibril.spawn(resolver.getaddrinfo, "example.invalid", 80)
    fibril.spawn_later(0.001, lookups.gate.release)
    fibril.sleep(0)
    assert fibril.get_hub().statistics()["expected"] == 1  # so nobody says that it looks like one
    assert fibril.get_hub().join()
    assert task.value == ADDRESS


def test_a_bad_numeric_question_is_refused_as_the_standard_library_does(fresh: None) -> None:
    for ask in (resolver.getaddrinfo, stdlib.getaddrinfo):
        with pytest.raises(stdlib.gaierror):
            ask("127.0.0.1", "no such service")
        with pytest.raises(TypeError):
            ask(object(), 80)
        with pytest.raises(UnicodeError):
            ask("a" * 100 + ".invalid", 80)


def test_the_older_functions_answer_as_the_standard_librarys(fresh: None) -> None:
    assert socket.gethostbyname("") == stdlib.gethostbyname("")
    for host in ("localhost", "127.0.0.1"):
        assert socket.gethostbyname(host) == stdlib.gethostbyname(host)
        assert socket.gethostbyname_ex(host) == stdlib.gethostbyname_ex(host)
    assert socket.gethostbyaddr("127.0.0.1") == stdlib.gethostbyaddr("127.0.0.1")
    assert socket.getfqdn("localhost") == stdlib.getfqdn("localhost")
    for flags in (0, socket.NI_NUMERICHOST):
        address = ("127.0.0.1", 80)
        assert socket.getnameinfo(address, flags) == stdlib.getnameinfo(address, flags)


def test_only_a_name_in_an_internet_address_is_replaced(fresh: None, lookups: Lookups) -> None:
    with socket.socket() as sock, socket.socket(socket.AF_UNIX) as unix:
        for address in (("127.0.0.1", 1), ("", 1), ("<broadcast>", 1), (), "text", None):
            assert resolver.numeric_address(sock, address) is address
        assert resolver.numeric_address(unix, "/path") == "/path"
        assert lookups.names == []
        assert resolver.numeric_address(sock, ("example.invalid", 7)) == ("192.0.2.1", 7)


def test_a_burst_of_look_ups_asks_the_system_once_for_each_name(
    fresh: None, lookups: Lookups
) -> None:
    tasks = [
        fibril.spawn(socket.getaddrinfo, f"host-{number % 100}.invalid", 80)
        for number in range(10_000)
    ]
    assert [task.get() for task in tasks] == [ADDRESS] * 10_000
    assert len(lookups.names) == len(set(lookups.names)) == 100
    assert resolver._lookups == {}


@pytest.mark.parametrize("is_timeout", [False, True])
def test_who_gives_up_leaves_nothing_behind(
    fresh: None, lookups: Lookups, is_timeout: bool
) -> None:
    lookups.gate.acquire()

    def ask() -> None:
        with fibril.Timeout(0.001 if is_timeout else None, exception=False):
            resolver.getaddrinfo("example.invalid", 80)

    tasks = [fibril.spawn(ask) for _ in range(5)]
    until(lambda: lookups.names)
    if is_timeout:
        fibril.joinall(tasks)
    else:
        fibril.killall(tasks)
    assert fibril.get_hub().statistics()["expected"] == 0
    lookups.gate.release()
    until(lambda: not resolver._lookups)
    assert resolver.getaddrinfo("example.invalid", 80) == ADDRESS
    assert len(lookups.names) == 2


def test_a_programs_own_resolver_is_asked_and_closed(fresh: None, lookups: Lookups) -> None:
    asked: list[Any] = []

    class Mine(resolver.Resolver):
        def getaddrinfo(self, host: Any, *args: Any, **options: Any) -> Any:
            asked.append(host)
            return super().getaddrinfo("127.0.0.1", *args, **options)

        def gethostbyname(self, host: Any) -> str:
            asked.append(host)
            return "192.0.2.2"

        def close(self) -> None:
            asked.append("closed")

    hub = fibril.get_hub()
    usual = hub.resolver
    assert type(usual) is resolver.Resolver
    assert hub.resolver is usual
    hub.resolver = mine = Mine()
    assert hub.resolver is mine
    assert socket.gethostbyname("one.invalid") == "192.0.2.2"
    assert socket.getaddrinfo("two.invalid", 80)[0][4] == ("127.0.0.1", 80)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(("three.invalid", listener.getsockname()[1]))
        assert client.getpeername() == listener.getsockname()
    del hub.resolver
    assert hub.resolver is usual
    assert asked == ["one.invalid", "two.invalid", "three.invalid", "closed"]
    assert socket.getaddrinfo("two.invalid", 80) == ADDRESS


def test_a_resolver_that_keeps_the_thread_may_be_chosen(interpreter: Any) -> None:
    out = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        import socket
        import fibril
        from fibril._io.resolver import BlockingResolver
        fibril.get_hub().resolver = BlockingResolver()
        fibril.spawn(print, "others do not run")
        print(socket.gethostbyname("localhost"), bool(socket.getaddrinfo("localhost", 80)))
    """)
    assert out.startswith("127.0.0.1 True\n")
