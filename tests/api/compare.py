"""Compare two descriptions of modules (describe.py), and judge what differs by a list of reasons.

The idea: what is served is right where it has whatever the real one has, and takes whatever that
takes. It may have more, and take more: only what a program written for the real one would miss is a
difference. Each is named `module:name` or `module:Class.attribute`, with what is missed.

Do not add: how the descriptions are made, or where the list lies. Those are api_diff.py's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

Description = Mapping[str, Any]
Parameters = Sequence[Sequence[Any]]

POSITIONAL = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")
BY_NAME = ("KEYWORD_ONLY", "POSITIONAL_OR_KEYWORD")
STARS = {"VAR_POSITIONAL": "no *", "VAR_KEYWORD": "no **"}


class Difference(NamedTuple):
    """What a program would miss, and where."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class Reason(NamedTuple):
    """Why differences are left: those whose places match one of the patterns."""

    patterns: tuple[str, ...]
    reason: str


class Judgement(NamedTuple):
    """What a comparison has come to."""

    unexplained: list[Difference]
    explained: list[tuple[Difference, str]]
    stale: list[str]  # patterns that match no difference any more


def differences(real: Mapping[str, Any], served: Mapping[str, Any]) -> list[Difference]:
    """All of them, in the order of the modules and names."""
    found: list[Difference] = []
    seen: set[str] = set()  # what has several names is looked at once
    for module, names in real.items():
        if names is None:
            continue  # it cannot be imported here: there is nothing to miss
        if served.get(module) is None:
            found.append(Difference(module, "there is no such module"))
            continue
        for name, theirs in names.items():
            if not is_at_home(module, name, theirs):
                continue
            ours = served[module].get(name)
            is_new = theirs.get("first") not in seen
            found += compare(f"{module}:{name}", theirs, ours, is_new=is_new)
            if ours is not None and "first" in theirs:
                seen.add(theirs["first"])
    return found


def is_at_home(module: str, name: str, theirs: Description) -> bool:
    """Not if the module has merely imported it: of Python's own, or of its tools for that."""
    home = theirs["home"]
    is_ours = home.startswith(("gevent", "greenlet", "_gevent")) and home != "gevent._compat"
    return theirs["kind"] == "value" or is_ours


def compare(
    place: str, theirs: Description, ours: Description | None, *, is_new: bool
) -> Iterator[Difference]:
    if ours is None:
        yield Difference(place, f"there is no such {theirs['kind']}")
        return
    if theirs["kind"] == "class" and ours["kind"] != "class":
        yield Difference(place, f"it is a {ours['kind']} here, and no class")
        return
    if theirs["kind"] == "function" and ours["kind"] == "value":
        yield Difference(place, "it cannot be called here")
        return
    if not is_new:
        return
    yield from compare_signatures(place, theirs.get("signature"), ours.get("signature"))
    if theirs["kind"] != "class":
        return
    for base in theirs["builtins"]:
        if base not in ours["builtins"]:
            yield Difference(place, f"it is no {base} here")
    for name, attribute in theirs["attributes"].items():
        yield from compare_attributes(f"{place}.{name}", attribute, ours["attributes"].get(name))


def compare_attributes(
    place: str, theirs: Description, ours: Description | None
) -> Iterator[Difference]:
    if ours is None:
        yield Difference(place, f"there is no such {theirs['kind']}")
    elif theirs["kind"] == "method" and ours["kind"] != "method":
        yield Difference(place, "it is no method here")
    else:
        yield from compare_signatures(place, theirs["signature"], ours["signature"])


def compare_signatures(
    place: str, theirs: Parameters | None, ours: Parameters | None
) -> Iterator[Difference]:
    if theirs is None or ours is None:
        return  # one of them cannot be asked
    refused = list(refusals(theirs, ours))
    if refused:
        yield Difference(place, f"{', '.join(refused)}: {show(theirs)} there, {show(ours)} here")


def refusals(theirs: Parameters, ours: Parameters) -> Iterator[str]:
    """Which calls that one takes the other does not."""
    in_order = [each for each in ours if each[1] in POSITIONAL]
    by_name = {each[0]: each for each in ours if each[1] in BY_NAME}
    kinds = {kind for _, kind, _ in ours}
    seen = set()
    for index, (name, kind, default) in enumerate(theirs):
        if name.startswith("_"):  # for itself
            seen.add(name)
            continue
        if kind.startswith("VAR_"):
            yield from [STARS[kind]] if kind not in kinds else []
            continue
        at = in_order[index] if kind in POSITIONAL and index < len(in_order) else None
        if kind in POSITIONAL and at is None and "VAR_POSITIONAL" not in kinds:
            yield f"{name} not by position"
        if kind in BY_NAME and "VAR_KEYWORD" not in kinds:
            yield from misnamed(name, at, by_name)
        found = at or by_name.get(name)
        if found is not None:
            seen.add(found[0])
            yield from compare_defaults(name, default, found[2])
    for name, kind, default in ours:
        if default is None and name not in seen and not kind.startswith("VAR_"):
            yield f"{name} must be given"


def misnamed(name: str, at: Sequence[Any] | None, by_name: Mapping[str, Any]) -> Iterator[str]:
    """Whether it can be given by its name, and is then what it is by position."""
    if name not in by_name:
        yield f"{name} not by name"
    elif at is not None and at[0] != name:
        yield f"{at[0]} in the place of {name}"


def compare_defaults(name: str, theirs: str | None, ours: str | None) -> Iterator[str]:
    if theirs is None:
        return
    if ours is None:
        yield f"{name} must be given"
    elif "..." not in (theirs, ours) and theirs != ours:
        yield f"{name} is {ours} by default"


def show(parameters: Parameters) -> str:
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
    words, previous = [], "POSITIONAL_OR_KEYWORD"
    for name, kind, default in parameters:
        if previous == "POSITIONAL_ONLY" != kind:
            words.append("/")
        if kind == "KEYWORD_ONLY" and previous not in ("KEYWORD_ONLY", "VAR_POSITIONAL"):
            words.append("*")
        words.append(stars.get(kind, "") + name + ("" if default is None else f"={default}"))
        previous = kind
    return f"({', '.join(words)})"


def judge(found: Iterable[Difference], reasons: Iterable[Reason]) -> Judgement:
    """Which differences have a reason, and which reasons have no difference any more."""
    by_pattern = {pattern: each.reason for each in reasons for pattern in each.patterns}
    used, unexplained, explained = set(), [], []
    for difference in found:
        matching = [each for each in by_pattern if fnmatchcase(difference.place, each)]
        used.update(matching)
        if matching:
            explained.append((difference, by_pattern[matching[0]]))
        else:
            unexplained.append(difference)
    return Judgement(unexplained, explained, [each for each in by_pattern if each not in used])
