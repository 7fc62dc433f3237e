"""The seed programs are the user's own, byte for byte.

What fibril promises about them is worth nothing if they were adapted to make them run. So the tests
beside this one change the world around a program, never the program, and this one keeps it so.
"""

import hashlib
from pathlib import Path

import pytest

SHA256 = {
    "1_greenlet_switch.py": "9f5b983244b26a5499e0f6ab882f451fd0c119d97ee00b675a15f4b5914c7322",
    "2_gevent_requests.py": "70e66bcafd9cc4f528e8ed7d28818655e564ee8792207b665b661bac32f28045",
    "3_gevent_echo_server.py": "ff3cf51cbe16cef16fc4d14c552485c0301a63fb22a58b6cf3c16b03a03e2fba",
    "4_gevent_queue.py": "d6e661201dbb71642187f2224aa48770b4d8c01df1c72ec31a33be7778de408a",
}


@pytest.mark.parametrize("name", SHA256)
def test_seed_program_is_the_original(name: str, examples: Path) -> None:
    content = (examples / "seed" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256[name], f"{name} must stay as it was given"


def test_seed_folder_holds_the_four_programs_only(examples: Path) -> None:
    assert sorted(path.name for path in (examples / "seed").glob("*.py")) == sorted(SHA256)
