"""`python -m gevent.monkey`: gevent's own way to run a program with the standard library patched.

The idea: its options choose parts of the patch; running the program is what `fibril run` does. The
names that can be given are the parameters of `patch_all`, so there is no second list of them.

Do not add: options that gevent does not have; those are `fibril run`'s.
"""

import inspect
import os
import pprint
import sys

from fibril import monkey
from fibril.cli.run import Request, run
from fibril.cli.usage import UsageError

__all__ = ["main"]

# gevent has options for them; here they mean nothing, as for patch_all().
_WITHOUT_MEANING = ["sys", "aggressive", "Event", "builtins", "contextvars"]
_PARTS = [
    name
    for name, parameter in inspect.signature(monkey.patch_all).parameters.items()
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name not in _WITHOUT_MEANING
]

USAGE = """\
usage: python -m gevent.monkey [OPTION...] PROGRAM [ARGUMENT...]
       python -m gevent.monkey [OPTION...] --module MODULE [ARGUMENT...]
"""
HELP = f"""\
{USAGE}
Run a Python program with the standard library patched; gevent is served by fibril.

  PROGRAM      path of a Python file, or of a folder or zip file with a __main__.py
  --module     what follows is a module's name, as for `python -m`
  --no-NAME    leave NAME as it is, and patch the rest
  --NAME       patch NAME, and of the rest only what is named, too
  --verbose    say first what is patched, and what has been imported before

NAME is one of {", ".join(_PARTS)}.
"""


def main(arguments: list[str] | None = None) -> int:
    """Do what a command line of `python -m gevent.monkey` asks for; the exit code, where the
    program has not ended us.

    Switches: if it must wait. Threads: owner.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in ([], ["--help"]):
        print(HELP, end="")
        return 0
    try:
        request, is_verbose = _read(arguments)
    except UsageError as error:
        print(f"gevent.monkey: {error}\n{USAGE}", end="", file=sys.stderr)
        return 2
    if is_verbose:
        _tell(request.patches or {})
    return run(request)


def _read(arguments: list[str]) -> tuple[Request, bool]:
    flags, named, left = set[str](), set[str](), set[str]()
    rest = list(arguments)
    while rest and rest[0].startswith("--"):
        option = rest.pop(0)
        if option == "--":
            break
        name = option.removeprefix("--").removeprefix("no-")
        if option in ("--verbose", "--module"):
            flags.add(name)
        elif name in _PARTS:
            (left if option.startswith("--no-") else named).add(name)
        elif name not in _WITHOUT_MEANING:
            raise UsageError(f"there is no option {option!r}. --help lists them.")
    if not rest:
        raise UsageError("nothing to run. Give the path of a program, or --module and its name.")
    patches = {name: name in named for name in _PARTS} if named else {}
    patches.update(dict.fromkeys(sorted(left), False))
    return Request("module" in flags, rest[0], rest[1:], (), patches), "verbose" in flags


def _tell(patches: dict[str, bool]) -> None:
    chosen = ", ".join(f"{name}={is_wanted}" for name, is_wanted in patches.items())
    print(f"gevent.monkey.patch_all({chosen})")
    print(f"sys.version={sys.version}")
    print(f"sys.path={pprint.pformat(sys.path)}")
    print(f"sys.modules={pprint.pformat(sorted(sys.modules))}")
    print(f"cwd={os.getcwd()}")
