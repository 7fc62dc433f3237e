"""gevent's settings: read from the environment, kept, and in effect where fibril has the like."""

import pytest

import fibril
from fibril._io.resolver import BlockingResolver, Resolver
from fibril.config import Config
from fibril.fileobject import FileObjectThread
from fibril.threadpool import ThreadPool
from tests.conftest import Interpreter


def test_what_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEVENT_TRACK_GREENLET_TREE", "no")
    monkeypatch.setenv("GEVENT_RESOLVER_TIMEOUT", "2.5")
    settings = Config()
    assert settings.track_greenlet_tree is False
    assert settings.resolver_timeout == 2.5
    monkeypatch.setenv("GEVENTARES_TRIES", "3")
    settings.set("ares_timeout", 2)
    assert (settings.ares_tries, settings.ares_timeout) == ("3", 2)
    assert "max_memory_usage" in dir(settings)


def test_a_class_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEVENT_RESOLVER", "ares, dnspython")
    settings = Config()
    assert settings.resolver is Resolver
    assert settings.is_chosen("resolver")
    assert not settings.is_chosen("loop")
    settings.resolver = "no.such.Resolver", "block"
    assert settings.resolver is BlockingResolver
    settings.set("fileobject", FileObjectThread)
    assert settings.fileobject is FileObjectThread
    settings.loop = "libuv-cffi"
    assert settings.loop is type(fibril.get_hub().loop)
    assert settings.threadpool is ThreadPool
    for name in ("nothing", "os.nothing", "", "no_such_module.ThreadPool"):
        settings.threadpool = name
        with pytest.raises(ImportError, match="cannot find the setting 'threadpool'"):
            settings.threadpool  # noqa: B018


CLASSES = """
    import fibril
    from fibril import fileobject, socket
    from fibril._io.resolver import Resolver
    from fibril.dispatch.threads import ThreadPool

    class Mine(Resolver):
        def gethostbyname(self, name):
            return "192.0.2.1"

    class Few(ThreadPool):
        pass

    if __name__ == "__main__":
        hub = fibril.get_hub()
        print(socket.gethostbyname("mine.invalid"), type(hub.threadpool).__name__)
        print(hub.threadpool._workers.idle_s, fileobject.FileObject.__name__)
"""


def test_classes_that_the_environment_names_are_used(interpreter: Interpreter) -> None:
    out = interpreter.out(
        CLASSES,
        GEVENT_RESOLVER="program.Mine",
        GEVENT_THREADPOOL="program.Few",
        GEVENT_THREADPOOL_IDLE_TASK_TIMEOUT="0.5",
        GEVENT_FILE="thread",
    )
    assert out == "192.0.2.1 Few\n0.5 FileObjectThread\n"


def test_a_name_that_gevent_does_not_have_is_refused() -> None:
    settings = Config()
    with pytest.raises(AttributeError, match="no setting 'colour'"):
        settings.colour = "red"
    with pytest.raises(AttributeError, match="those of gevent are: resolver"):
        settings.colour  # noqa: B018


def test_the_blocking_limit_follows(interpreter: Interpreter) -> None:
    program = """
        from fibril import compat
        compat.install()
        import gevent
        from fibril.hub import set_blocking_limit
        def limit():
            former = set_blocking_limit(0)
            set_blocking_limit(former)
            return former
        print(limit())
        gevent.config.max_blocking_time = 0.25
        print(limit())
        gevent.config.monitor_thread = False
        print(limit())
        gevent.config.monitor_thread = True
        print(limit())
    """
    default = {"FIBRIL_BLOCKING_LIMIT": "1"}  # also where the harness sets another
    assert interpreter.out(program, **default) == "1.0\n0.25\n0.0\n0.25\n"
    out = interpreter.out(program, GEVENT_MAX_BLOCKING_TIME="3")
    assert out == "3.0\n0.25\n0.0\n0.25\n"
    assert interpreter.out(program, GEVENT_MONITOR_THREAD_ENABLE="0").startswith("0.0\n0.0\n")
