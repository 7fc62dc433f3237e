"""How programs begin that the tests of eventlet's names run."""

SERVED = """
from fibril import compat
compat.install("eventlet", "greenlet")
import eventlet
def raised(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{function} raised no {kind}")
"""
