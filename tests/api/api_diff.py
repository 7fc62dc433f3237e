"""Every public name of gevent and greenlet, their signatures and the attributes of their classes,
beside what fibril serves: each difference is listed, and has its reason in known.toml.

    python -m tests.api.api_diff          list them; exit code 1 for one without a reason, and for a
                                          reason without one

The real ones are asked twice, as they are and without their compiled parts, which do not tell
their signatures.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.api.compare import Judgement, Reason, differences, judge

HERE = Path(__file__).parent
LIMIT_S = 60
VERSION = sys.version_info[:2]

Modules = dict[str, dict[str, Any] | None]


def ask(which: str, *modules: str, **env: str) -> Modules:
    """What describe.py says, in a process of its own."""
    command = [sys.executable, str(HERE / "describe.py"), which, *modules]
    done = subprocess.run(
        command, env={**os.environ, **env}, stdout=subprocess.PIPE, timeout=LIMIT_S, check=True
    )
    found: Modules = json.loads(done.stdout)
    return found


def ask_real() -> Modules:
    real = ask("real")
    plain = ask("real", *real, GEVENT_PURE_PYTHON="1")
    for module, names in real.items():
        for name, value in (names or {}).items():
            fill_in(value, (plain[module] or {}).get(name))
    return real


def fill_in(compiled: dict[str, Any], plain: dict[str, Any] | None) -> None:
    """The signatures that only the plain one tells."""
    if plain is None:
        return
    if compiled.get("signature") is None:
        compiled["signature"] = plain.get("signature")
    for name, attribute in compiled.get("attributes", {}).items():
        fill_in(attribute, plain.get("attributes", {}).get(name))


def reasons(version: tuple[int, int] = VERSION) -> list[Reason]:
    """What known.toml says for that version of Python."""
    entries = tomllib.loads((HERE / "known.toml").read_text(encoding="utf-8"))["left"]
    return [
        Reason(tuple(entry["names"]), entry["reason"])
        for entry in entries
        if as_version(entry.get("since", "3.0")) <= version < as_version(entry.get("until", "4.0"))
    ]


def as_version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def report(judgement: Judgement) -> bool:
    """Print it; whether all is well."""
    last = ""
    for difference, reason in judgement.explained:
        if reason != last:
            print(f"--- {reason}")
            last = reason
        print(f"  {difference}")
    for difference in judgement.unexplained:
        print(f"! {difference}. Serve it, or say in tests/api/known.toml why not.")
    for pattern in judgement.stale:
        print(f"! {pattern}: known.toml has a reason for it, and it does not differ. Take it out.")
    return not judgement.unexplained and not judgement.stale


def main() -> None:
    real = ask_real()
    found = differences(real, ask("served", *real))
    judgement = judge(found, reasons())
    is_well = report(judgement)
    print(
        f"api-diff: {len(real)} modules, {sum(len(names or ()) for names in real.values())} names; "
        f"{len(found)} differences, {len(judgement.unexplained)} of them without a reason, "
        f"{len(judgement.stale)} reasons without a difference"
    )
    if not is_well:
        sys.exit(1)


if __name__ == "__main__":
    main()
