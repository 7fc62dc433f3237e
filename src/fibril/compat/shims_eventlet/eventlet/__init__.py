"""eventlet, served by fibril. Written by `fibril shim`: run that again rather than edit this."""

try:
    from fibril import compat as _compat
except ModuleNotFoundError as error:
    if error.name != "fibril":
        raise
    import sys as _sys

    raise ImportError(
        f"cannot serve 'eventlet' by fibril: {error}. The package in {__file__} hands over to "
        f"fibril, which {_sys.executable} does not have. Install fibril for that interpreter, or "
        "take the folder off PYTHONPATH.",
        name="fibril",
    ) from error

_compat.take_over(__name__)
