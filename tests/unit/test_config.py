"""gevent's settings: read from the environment, kept, and in effect where fibril has the like."""

import pytest

from fibril.config import Config
from tests.conftest import Interpreter


def test_what_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEVENT_RESOLVER", "ares, dnspython")
    monkeypatch.setenv("GEVENT_TRACK_GREENLET_TREE", "no")
    monkeypatch.setenv("GEVENT_RESOLVER_TIMEOUT", "2.5")
    settings = Config()
    assert settings.resolver == ["ares", "dnspython"]
    assert settings.track_greenlet_tree is False
    assert settings.resolver_timeout == 2.5
    settings.loop = "libuv-cffi"
    settings.set("fileobject", "thread")
    assert (settings.loop, settings.fileobject) == ("libuv-cffi", "thread")
    assert "max_memory_usage" in dir(settings)


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
