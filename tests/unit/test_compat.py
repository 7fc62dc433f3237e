"""The gevent and greenlet names: real packages that hold fibril's objects, nothing pretended."""

import textwrap
from pathlib import Path

import pytest

from fibril import compat
from tests.conftest import Interpreter

INSTALL = "from fibril import compat; compat.install(); compat.install()\n"


def test_the_packages_are_real(interpreter: Interpreter) -> None:
    text = """
        import importlib, importlib.util, sys
        for name in ("gevent", "greenlet", "gevent.queue"):
            spec = importlib.util.find_spec(name)
            module = importlib.import_module(name)
            assert spec.name == name == module.__name__ == module.__spec__.name, name
            assert module.__file__ == spec.origin and "compat" in module.__file__
            assert sys.modules[name] is module
        import gevent, greenlet
        assert gevent.__path__ and greenlet.__path__ and gevent.__package__ == "gevent"
        assert importlib.reload(gevent) is gevent
        """
    assert interpreter.out(INSTALL + _plain(text)) == ""


def test_every_way_to_import_gives_fibrils_objects(interpreter: Interpreter) -> None:
    text = """
        import gevent
        import gevent.queue
        import gevent.lock as lock
        from gevent import monkey, socket, Greenlet
        from gevent.event import AsyncResult
        from gevent.hub import get_hub
        from greenlet import greenlet, getcurrent, GreenletExit
        import gevent.pool
        import fibril.queue, fibril.lock, fibril.event, fibril.monkey, fibril.socket, fibril.pool
        pairs = [
            (gevent.pool.Pool, fibril.pool.Pool), (gevent.pool.Group, fibril.pool.Group),
            (gevent.queue.Queue, fibril.queue.Queue), (lock.Semaphore, fibril.lock.Semaphore),
            (monkey.patch_all, fibril.monkey.patch_all), (socket.socket, fibril.socket.socket),
            (Greenlet, fibril.Task), (AsyncResult, fibril.event.AsyncResult),
            (get_hub, fibril.hub.get_hub), (greenlet, fibril.Fiber),
            (getcurrent, fibril.getcurrent), (GreenletExit, gevent.GreenletExit),
            (gevent.Timeout, fibril.Timeout), (gevent.spawn, fibril.spawn),
            (monkey.saved, fibril.monkey.saved),
        ]
        assert all(ours is theirs for ours, theirs in pairs)
        """
    assert interpreter.out(INSTALL + _plain(text)) == ""


def test_submodules_that_gevent_loads_itself_are_attributes(interpreter: Interpreter) -> None:
    text = """
        import gevent
        print(gevent.hub.get_hub is gevent.get_hub, gevent.greenlet.Greenlet is gevent.Greenlet,
              gevent.event.__name__, gevent.timeout.Timeout is gevent.Timeout,
              gevent.exceptions.LoopExit.__name__)
        """
    assert interpreter.out(INSTALL + _plain(text)) == "True True gevent.event True LoopExit\n"


def test_every_module_imports_and_has_all_that_it_names(interpreter: Interpreter) -> None:
    text = """
        import importlib, pkgutil, gevent
        for info in pkgutil.iter_modules(gevent.__path__):
            module = importlib.import_module("gevent." + info.name)
            missing = [name for name in module.__all__ if not hasattr(module, name)]
            assert not missing, (info.name, missing)
            print(info.name)
        """
    names = interpreter.out(INSTALL + _plain(text)).split()
    assert {"event", "hub", "lock", "monkey", "queue", "select", "socket", "ssl"} <= set(names)


def test_fibers_have_greenlets_name_once_greenlet_is_imported(interpreter: Interpreter) -> None:
    text = """
        import fibril
        print(fibril.Fiber, fibril.FiberError.__name__, hasattr(fibril.Fiber, "settrace"))
        import gevent
        print(fibril.Fiber)
        import greenlet
        assert greenlet.greenlet is fibril.Fiber and greenlet.error is fibril.FiberError
        print(fibril.Fiber, greenlet.error, hasattr(fibril.Fiber, "settrace"))
        """
    assert interpreter.out(INSTALL + _plain(text)).splitlines() == [
        "<class 'fibril.Fiber'> FiberError False",
        "<class 'fibril.Fiber'>",
        "<class 'greenlet.greenlet'> <class 'greenlet.error'> True",
    ]


def test_versions_are_those_that_programs_look_for(interpreter: Interpreter) -> None:
    text = """
        import gevent, greenlet, fibril
        print(gevent.__version__, gevent.version_info[:3], greenlet.__version__)
        print(gevent.__fibril_version__ == greenlet.__fibril_version__ == fibril.__version__)
        """
    out = interpreter.out(INSTALL + _plain(text))
    assert out.splitlines() == ["26.9.0 (26, 9, 0) 3.5.6", "True"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import gevent; gevent.no_such", "AttributeError: module 'gevent' has no attribute"),
        ("import greenlet; greenlet.no_such", "AttributeError: module 'greenlet' has no attr"),
        (
            "import gevent.no_such",
            "ModuleNotFoundError: cannot import 'gevent.no_such': fibril serves",
        ),
        ("from gevent import no_such", "ImportError: cannot import name 'no_such' from 'gevent'"),
        ("from gevent.queue import no_such", "ImportError: cannot import name 'no_such'"),
    ],
)
def test_what_is_not_there_is_said(interpreter: Interpreter, statement: str, message: str) -> None:
    done = interpreter.run(INSTALL + statement)
    assert done.status == 1
    assert message in done.err.splitlines()[-1]


def test_who_only_asks_for_a_module_that_is_not_there_gets_none(interpreter: Interpreter) -> None:
    text = """
        import gevent
        from importlib.util import find_spec
        print(find_spec("gevent.nope"), find_spec("gevent.queue").name)
        """
    assert interpreter.out(INSTALL + _plain(text)) == "None gevent.queue\n"


def test_after_the_patch_all_modules_are_attributes(interpreter: Interpreter) -> None:
    text = """
        import gevent
        from gevent import monkey
        monkey.patch_all()
        names = "event queue socket ssl lock local timeout hub greenlet select signal thread pool"
        print([name for name in names.split() if not hasattr(gevent, name)])
        """
    assert interpreter.out(INSTALL + _plain(text)) == "[]\n"


def test_the_smaller_modules_mean_what_gevents_do(interpreter: Interpreter) -> None:
    text = """
        import signal, socket, ssl, sys, threading, time, types
        import fibril, fibril.pool, fibril.socket, fibril.ssl
        import gevent.core, gevent.hub, gevent.monkey
        import gevent.resolver.blocking, gevent.resolver.thread
        import gevent.select, gevent.signal, gevent.socket, gevent.ssl, gevent.thread, gevent.time
        import gevent._hub_local, gevent._imap, gevent.contextvars, gevent.threading
        core = gevent.core
        assert core.get_version() == f"fibril-{fibril.__version__}"
        assert fibril.get_hub().loop.backend in core.supported_backends()
        assert isinstance(fibril.get_hub().loop.io(0, core.READWRITE), core.io)
        assert getattr(core, "async") is core.async_
        assert gevent.time.monotonic is time.monotonic and gevent.time.sleep is not time.sleep
        assert gevent.signal.SIGUSR1 is signal.SIGUSR1 and gevent.signal.signal is signal.signal
        assert gevent.ssl._DEFAULT_CIPHERS == ssl._DEFAULT_CIPHERS
        assert gevent.ssl._create_stdlib_context is fibril.ssl._create_stdlib_context
        context = gevent.ssl._create_default_https_context()
        assert context.sslsocket_class is fibril.ssl.SSLSocket
        assert gevent.hub.MAIN_THREAD_IDENT == gevent.hub.get_thread_ident()
        assert gevent._hub_local.get_hub_if_exists() is fibril.get_hub()
        assert gevent._imap.IMap is fibril.pool.IMap
        assert gevent.threading.Thread is threading.Thread
        left, right = gevent.socket.socketpair()
        result = gevent.select.SelectResult()
        assert result.select([left], [right], 5) == ([], [right], [])
        for kind in (gevent.resolver.thread.Resolver, gevent.resolver.blocking.Resolver):
            resolver = kind(fibril.get_hub())
            assert resolver.getaddrinfo("127.0.0.1", 1) == socket.getaddrinfo("127.0.0.1", 1)
            assert resolver.gethostbyname("127.0.0.1") == "127.0.0.1"
            resolver.close()
        target = types.ModuleType("target")
        for source in (gevent.socket, gevent.ssl, gevent.select, gevent.time, gevent.thread):
            assert gevent.monkey.patch_module(target, source)
        assert target.socket is fibril.socket.socket and target.sleep is gevent.time.sleep
        print("all")
        """
    assert interpreter.out(INSTALL + _plain(text)) == "all\n"


def test_looking_for_a_name_that_is_not_there_is_no_error(interpreter: Interpreter) -> None:
    text = """
        import gevent
        print(hasattr(gevent, "no_such"), getattr(gevent, "no_such", None))
        """
    assert interpreter.out(INSTALL + _plain(text)) == "False None\n"


@pytest.mark.parametrize("name", ["greenlet", "gevent"])
def test_it_refuses_when_a_real_one_is_imported(interpreter: Interpreter, name: str) -> None:
    interpreter.folder.joinpath(f"{name}.py").write_text("", encoding="utf-8")
    done = interpreter.run(f"import {name}\n" + INSTALL)
    assert done.status == 1
    last = done.err.splitlines()[-1]
    assert f"cannot serve gevent and greenlet by fibril: the real {name} is imported" in last
    assert str(interpreter.folder) in last
    assert "call fibril.compat.install() first" in last


def test_modules_are_attributes_whatever_was_imported(interpreter: Interpreter) -> None:
    text = """
        import gevent, sys
        import gevent.queue
        print("gevent.selectors" in sys.modules)
        print(gevent.selectors is sys.modules["gevent.selectors"])
        print(gevent.monkey.api.patch_module is gevent.monkey.patch_module, gevent.time.sleep)
        """
    out = interpreter.out(INSTALL + _plain(text))
    assert out.startswith("False\nTrue\nTrue <built-in function sleep>")


def test_metadata_tell_the_versions(interpreter: Interpreter) -> None:
    text = """
        import sys
        from importlib import metadata
        print([metadata.version(name) for name in ("gevent", "greenlet")], sys.path[0])
        """
    expected = f"['26.9.0', '3.5.6'] {interpreter.folder}\n"
    assert interpreter.out(INSTALL + _plain(text)) == expected


def test_what_is_on_the_path_is_of_the_same_version() -> None:
    folders = {compat.shims_of(name) for name in compat.VERSIONS}
    infos = {path.name: path for folder in folders for path in Path(folder).glob("*.dist-info")}
    assert set(infos) == {f"{name}-{number}.dist-info" for name, number in compat.VERSIONS.items()}
    for info, path in infos.items():
        text = Path(path, "METADATA").read_text(encoding="utf-8")
        name, version = info.removesuffix(".dist-info").split("-")
        assert f"\nName: {name}\nVersion: {version}\n" in text


CHILDREN = """
    if __name__ == "__main__":
        from fibril import compat
        compat.install()
    import gevent, greenlet, multiprocessing, fibril

    def child(connection):
        connection.send(gevent.Greenlet is fibril.Task and greenlet.greenlet is fibril.Fiber)

    if __name__ == "__main__":
        context = multiprocessing.get_context("METHOD")
        here, there = context.Pipe()
        process = context.Process(target=child, args=(there,))
        process.start()
        print(here.recv() if here.poll(20) else "no answer")
        process.join()
    """


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_get_them_too(interpreter: Interpreter, method: str) -> None:
    # In those that are not forked the program is imported, and installs nothing by itself.
    assert interpreter.out(CHILDREN.replace("METHOD", method)) == "True\n"


PICKLED = """
    gevent.timeout:Timeout gevent.exceptions:LoopExit gevent.exceptions:HubDestroyed
    gevent.exceptions:ConcurrentObjectUseError gevent.queue:Queue gevent.pool:Pool
    gevent.pool:PoolFull gevent.event:Event greenlet:GreenletExit greenlet:error
    gevent.greenlet:Greenlet gevent._socket3:socket gevent.local:local
    """


def test_classes_are_unpickled_by_gevents_names(interpreter: Interpreter) -> None:
    text = f"""
        import pickle
        for each in {PICKLED.split()}:
            module, name = each.split(":")
            found = pickle.loads(f"c{{module}}\\n{{name}}\\n.".encode())
            assert found.__name__ in (name, "Task"), found
        import gevent.pool, greenlet
        errors = gevent.exceptions.LoopExit("x"), greenlet.GreenletExit("x"), gevent.pool.PoolFull()
        for error in errors:
            again = pickle.loads(pickle.dumps(error))
            assert type(again) is type(error) and again.args == error.args
        """
    assert interpreter.out(INSTALL + _plain(text)) == ""


def test_a_greenlets_identity_is_what_it_finds_itself(interpreter: Interpreter) -> None:
    text = """
        import gevent, threading, _thread
        from gevent.thread import get_ident
        from gevent.threading import get_ident as same
        task = gevent.spawn(get_ident)
        main = gevent.getcurrent()
        assert get_ident(task) == task.get() == id(task)
        assert get_ident(main) == get_ident() == _thread.get_ident() == same(gr=main)
        """
    assert interpreter.out(INSTALL + _plain(text)) == ""


def test_modules_below_the_public_ones_are_there(interpreter: Interpreter) -> None:
    text = """
        import os, warnings
        import gevent.ares, gevent.builtins, gevent.resolver.cares, gevent.resolver_ares
        from gevent import win32util
        from gevent._interfaces import ICallback, ILoop, IWatcher
        from gevent._socket3 import socket
        from gevent._socketcommon import wait_read, wait_write
        from gevent._tracer import GreenletTracer
        loop = gevent.get_hub().loop
        assert isinstance(loop, ILoop) and isinstance(loop.io(0, 1), IWatcher)
        assert isinstance(loop.run_callback(int), ICallback)
        assert socket is gevent.socket.socket and wait_read is gevent.socket.wait_read
        assert win32util.formatError(2) == os.strerror(2) and gevent.builtins.len is len
        for options, count in (({}, 0), ({"servers": "192.0.2.1"}, 1)):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                resolver = gevent.resolver_ares.Resolver(gevent.get_hub(), **options)
            assert len(told) == count and resolver.gethostbyname("127.0.0.1") == "127.0.0.1"
        """
    assert interpreter.out(INSTALL + _plain(text)) == ""


def test_gevents_tools_do_what_theirs_do(interpreter: Interpreter) -> None:
    text = """
        import os
        from gevent._util import Lazy, copy_globals, gmctime, readproperty

        class Some:
            count = 0
            @readproperty
            def read(self):
                self.count += 1
                return self.count
            @Lazy
            def lazy(self):
                return self.read
        some = Some()
        assert (some.read, some.read, some.lazy, some.lazy) == (1, 2, 3, 3)
        some.read = 7
        assert some.read == 7
        names = {"copy_globals": 1}
        copied = copy_globals(os, names, ["sep", "nothing"], ignore_missing_names=True)
        assert copied == ["sep"] and names == {"sep": os.sep}
        assert "path" in copy_globals(os, names, names_to_ignore=["sep"])
        try:
            copy_globals(os, names, ["nothing"])
        except AttributeError:
            assert gmctime().endswith("Z")
        """
    assert interpreter.out(INSTALL + _plain(text)) == ""


def test_gevents_settings_can_be_printed(interpreter: Interpreter) -> None:
    text = """
        import runpy
        runpy.run_module("gevent._config", run_name="__main__", alter_sys=True)
        """
    out = interpreter.out(INSTALL + _plain(text), "-W", "ignore", GEVENT_RESOLVER_TIMEOUT="2")
    assert "\nresolver_timeout (GEVENT_RESOLVER_TIMEOUT): 2.0\n" in out


def test_without_install_nothing_is_served(interpreter: Interpreter) -> None:
    text = """
        import sys, fibril, fibril.compat
        print("gevent" in sys.modules, len([f for f in sys.meta_path if "compat" in repr(f)]))
        """
    assert interpreter.out(_plain(text)) == "False 0\n"


def _plain(text: str) -> str:
    return textwrap.dedent(text)
