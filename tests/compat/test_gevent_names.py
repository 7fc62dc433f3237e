"""Every public name of gevent's modules is served, or is said here not to be, and why.

The real one is installed for its own tests (test_gevent_on_fibril.py): so it can be asked what it
has. What its modules merely import of Python itself, or of what they share, is nobody's to use.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.conftest import Interpreter

LIST = """
import importlib, json, sys, types, __future__
names = {}
for module in MODULES:
    found = vars(importlib.import_module(module))
    names[module] = [
        name for name, value in found.items()
        if not isinstance(value, (types.ModuleType, __future__._Feature))
        and (name in found.get("__all__", ()) or not name.startswith("_"))
    ]
print(json.dumps(names))
"""

SHARED = "readproperty Lazy PY311 PY313 PY314 PYPY WIN PURE_PYTHON string_types integer_types"
SHARED += " is_macos is_windows exc_clear reraise thread_mod_name izip iteritems itervalues"
SHARED += " namedtuple defaultdict Mapping ABCMeta abstractmethod print_exception classImplements"
SHARED += " get_hub_noargs greenlet_init convert_str_value_as_is LazyOnClass getswitchinterval"
# Module → name → why it is not served. A name may stand for several, parted by spaces.
LEFT: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "gevent": {},
        "gevent.backdoor": {
            "Greenlet InteractiveConsole Pool StreamServer getcurrent": "what it is made of"
        },
        "gevent.baseserver": {"Event Greenlet get_hub xrange": "what it is made of"},
        "gevent.core": {
            "ASYNC CHECK CHILD CLEANUP CUSTOM EMBED ERROR EVENTS FORK IDLE PERIODIC PREPARE SIGNAL"
            " STAT TIMER UNDEF": "bits of libev's that no callback is given here",
            "BACKEND_DEVPOLL BACKEND_IOURING BACKEND_KQUEUE BACKEND_LINUXAIO BACKEND_POLL"
            " BACKEND_PORT BACKEND_SELECT": "pollers of libev's that fibril does not have",
            "FORKCHECK NOINOTIFY NOSIGMASK SIGNALFD": "flags for making a loop, which is the hub's",
            "EV_USE_4HEAP EV_USE_CLOCK_SYSCALL EV_USE_EVENTFD EV_USE_FLOOR EV_USE_INOTIFY"
            " EV_USE_MONOTONIC EV_USE_NANOSLEEP EV_USE_REALTIME EV_USE_SIGNALFD"
            " LIBEV_EMBED set_syserr_cb": "how libev was built",
            "ILoop ICallback config": "what zope.interface knows of it",
        },
        "gevent.event": {},
        "gevent.os": {
            "EAGAIN Event S_ISREG absolute_import config get_hub ignored_errors reinit": (
                "what its functions are made of"
            )
        },
        "gevent.exceptions": {},
        "gevent.greenlet": {
            "SpawnedLink SuccessSpawnedLink FailureSpawnedLink": "links are native here",
            "Gevent_PyFrame_GetBack Gevent_PyFrame_GetCode Gevent_PyFrame_GetLineNumber"
            " get_generic_parent get_my_hub": "parts of its C code",
        },
        "gevent.hub": {
            "IdentRegistry WaitOperationsGreenlet TrackedRawGreenlet linkproxy": "parts of its hub",
            "set_loop": "the hub has one loop",
            "gmctime": "a date for its own logs",
        },
        "gevent.local": {},
        "gevent.lock": {"atomic": "a part of its locks"},
        "gevent.monkey": {},
        "gevent.pool": {"pass_value": "a part of its apply_async"},
        "gevent.pywsgi": {
            "OldMessage": "its headers_factory's class",
            "BytesIO GreenletExit StreamServer datetime partial unquote unquote_latin1": (
                "what it is made of"
            ),
        },
        "gevent.queue": {"ItemWaiter": "a part of its queues"},
        "gevent.resolver.thread": {},
        "gevent.resolver.blocking": {},
        "gevent.select": {"PollResult get_fileno": "parts of its poll"},
        "gevent.selectors": {},
        "gevent.server": {
            "AF_INET BaseServer EWOULDBLOCK GeventSocket SOCK_DGRAM SOL_SOCKET SO_REUSEADDR"
            " SocketError": "what it is made of",
            "DEFAULT_REUSE_ADDR": "an attribute of the classes",
        },
        "gevent.signal": {},
        "gevent.socket": {
            "SocketMixin": "half of its class: ours is the standard library's",
            "GSENDAGAIN": "Windows'",
        },
        "gevent.ssl": {"orig_SSLContext": "a part of its patch"},
        "gevent.subprocess": {
            "AsyncResult FileObject GenericAlias Greenlet PathLike _posixsubprocess fork"
            " fork_and_watch fsdecode fsencode get_hub getcurrent joinall killall linkproxy"
            " os_close sleep spawn xrange": "what it is made of",
            "MAC MAXFD mswindows": "what it asks of the system",
            "name place value": "left over by its loops",
        },
        "gevent.thread": {},
        "gevent.threading": {"main_native_thread": "a part of its patch"},
        "gevent.threadpool": {
            "EmptyTimeout GTimeout Queue clear_stack_frames": "parts of its pool",
        },
        "gevent.time": {},
        "gevent.timeout": {},
        "gevent.util": {"clear_stack_frames is_idle_threadpool_worker": "parts of its reports"},
        "gevent._hub_local": {"Hub": "a part of its hub", "set_loop": "the hub has one loop"},
        "gevent._imap": {"Failure": "a part of its imap"},
    }
)


def names(interpreter: Interpreter, begin: str = "") -> dict[str, list[str]]:
    listing = LIST.replace("MODULES", repr(list(LEFT)))
    found: dict[str, list[str]] = json.loads(interpreter.out(begin + listing, "-W", "ignore"))
    return found


@pytest.fixture(scope="module")
def served_and_real(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    interpreter = Interpreter(tmp_path_factory.mktemp("names"))
    served = names(interpreter, "from fibril import compat\ncompat.install()\n")
    return served, names(interpreter)


@pytest.mark.parametrize("module", LEFT)
def test_names_are_served_or_known_to_be_left(
    served_and_real: tuple[dict[str, list[str]], dict[str, list[str]]], module: str
) -> None:
    served, real = (each[module] for each in served_and_real)
    assert len(real) > 0
    left = {name for key in LEFT[module] for name in key.split()}
    assert sorted(set(real) - set(served) - left - set(SHARED.split())) == []
    assert sorted(left & set(served)) == []  # else it is served by now
