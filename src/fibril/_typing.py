"""What annotations need and the standard library has only in newer versions.

The idea: who does not say of what a generic class is means anything: `Task` is `Task[Any]`, also
for checkers in strict mode. That is a default of the type variable, which `typing` has from 3.13
on. Checkers know it in every version.

Do not add: types. Those are where they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["T"]
