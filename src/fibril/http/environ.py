"""Dicts for WSGI's environment that do not show what is secret when somebody prints them.

The idea: an environment has passwords and cookies in it, and gets into logs whenever a traceback is
printed with its context. The server gives applications a plain dict, as PEP 3333 wants, and makes
one of these of it before it is shown.
Do not add: what is in an environment (wsgi.py).
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView
from typing import Any

__all__ = ["Environ", "SecureEnviron", "WSGISecureEnviron"]


class Environ(dict[str, Any]):
    """A dict whose copies are of its class; pickled, it is a plain one.

    Switches: never. Threads: any.

    >>> from fibril.pywsgi import Environ
    >>> type(Environ(PATH_INFO="/").copy()).__name__
    'Environ'
    """

    __slots__ = ()

    def copy(self) -> Environ:
        """Another one with the same items."""
        return type(self)(self)

    def iteritems(self) -> ItemsView[str, Any]:
        """Its items, for programs that are that old."""
        return self.items()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)


class SecureEnviron(Environ):
    """An environment that prints the values of `whitelist_keys` only.

    The attributes secure_repr (False prints all), whitelist_keys, and print_masked_keys (whether
    the other keys are named) are those of the class, `default_…`, unless they are set.

    Switches: never. Threads: any.

    >>> from fibril.pywsgi import SecureEnviron
    >>> environ = SecureEnviron(HTTP_HOST="me.invalid", HTTP_COOKIE="secret")
    >>> environ.whitelist_keys = ["HTTP_HOST"]
    >>> environ
    {'HTTP_HOST': 'me.invalid', 'HTTP_COOKIE': '<MASKED>'}
    """

    default_secure_repr = True
    default_whitelist_keys: Collection[str] = ()
    default_print_masked_keys = True

    __slots__ = ("print_masked_keys", "secure_repr", "whitelist_keys")

    secure_repr: bool
    whitelist_keys: Collection[str]
    print_masked_keys: bool

    def __getattr__(self, name: str) -> Any:
        if name in SecureEnviron.__slots__:
            return getattr(type(self), f"default_{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        if not self.secure_repr:
            return super().__repr__()
        shown = self.whitelist_keys
        if not shown:
            return f"<pywsgi.{type(self).__name__} dict (keys: {len(self)}) at {id(self)}>"
        if self.print_masked_keys:
            return repr({key: self[key] if key in shown else "<MASKED>" for key in self})
        open_items = {key: self[key] for key in self if key in shown}
        hidden = len(self) - len(open_items)
        text = repr(open_items)
        return f"{text[:-1]}{', ' * bool(open_items)}(hidden keys: {hidden})}}" if hidden else text

    __str__ = __repr__


class WSGISecureEnviron(SecureEnviron):
    """An environment that prints who asked whom, and no more.

    Switches: never. Threads: any.

    >>> from fibril.pywsgi import WSGISecureEnviron
    >>> WSGISecureEnviron(REMOTE_ADDR="::1", HTTP_AUTHORIZATION="secret")
    {'REMOTE_ADDR': '::1', (hidden keys: 1)}
    """

    default_whitelist_keys = ("REMOTE_ADDR", "REMOTE_PORT", "HTTP_HOST")
    default_print_masked_keys = False

    __slots__ = ()
