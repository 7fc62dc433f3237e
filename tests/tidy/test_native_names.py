"""Public names that are native say the same of themselves as those in Python must.

rules_surface.py reads sources, and a native docstring is not in a Python source: so these are
looked at in the built module.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping

import pytest

from tests.tidy.rules_surface import SWITCHES, THREADS

NATIVE_FUNCTIONS = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


def native_functions(names: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """Name, function and class of every public native function and method."""
    for name, value in names.items():
        if isinstance(value, NATIVE_FUNCTIONS):
            yield name, value, None
        for key, member in vars(value).items() if isinstance(value, type) else ():
            if not key.startswith("_") and isinstance(member, NATIVE_FUNCTIONS):
                yield f"{name}.{key}", member, value


def unsaid(names: Mapping[str, object]) -> list[str]:
    """What the native ones among the names do not say, a line each."""
    lines = []
    for name, function, owner in native_functions(names):
        own = function.__doc__ or ""
        both = own + (owner.__doc__ or "" if owner else "")
        if not own:
            lines.append(f"{name} has no docstring")
        elif not SWITCHES.search(both) or not THREADS.search(both):
            lines.append(f"{name} does not say Switches: and Threads:")
    return lines


def test_public_native_names_say_whether_they_switch_and_who_may_call_them() -> None:
    import fibril

    found = unsaid({name: getattr(fibril, name) for name in fibril.__all__})
    if found:
        pytest.fail("\n".join(found) + "\nWrite it in the C docstring.", pytrace=False)


def test_a_native_method_that_says_nothing_is_found() -> None:
    assert "list.append does not say Switches: and Threads:" in unsaid({"list": list})
    assert unsaid({"len": len}) == ["len does not say Switches: and Threads:"]
    assert unsaid({"number": 7}) == []
