"""What pip installs: the files of src/, the extension, and what pip must know; nothing else."""

import sysconfig
from importlib import metadata
from pathlib import Path

import fibril

SOURCE = Path(__file__).parents[2] / "src"
NOT_INSTALLED = ("meson.build", "*.pyc", "*.so", ".*")  # *.so: what an editable install leaves
KNOWN_TO_PIP = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
ADDED_BY_PIP = {"INSTALLER", "REQUESTED", "direct_url.json"}


def installed() -> list[str]:
    """By the path from site-packages."""
    files = metadata.files("fibril") or []
    return [path.as_posix() for path in files if path.suffix != ".pyc"]


def test_every_file_of_the_source_is_installed_and_the_extension() -> None:
    source = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "fibril").rglob("*")
        if path.is_file() and not any(path.match(pattern) for pattern in NOT_INSTALLED)
    }
    extension = f"fibril/_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    assert {name for name in installed() if name.startswith("fibril/")} == source | {extension}


def test_beside_them_lie_the_command_and_what_pip_must_know() -> None:
    info = f"fibril-{metadata.version('fibril')}.dist-info/"
    rest = [name for name in installed() if not name.startswith("fibril/")]
    assert {name.removeprefix(info) for name in rest} - ADDED_BY_PIP == KNOWN_TO_PIP | {
        "../../../bin/fibril",
        "fibril_pytest.py",
    }


def test_its_version_is_the_one_that_it_tells() -> None:
    assert metadata.version("fibril") == fibril.__version__


def test_it_needs_nothing_else_but_for_its_extras() -> None:
    assert metadata.metadata("fibril").get_all("Provides-Extra") == ["wsgi"]
    (requirement,) = metadata.requires("fibril") or []
    assert requirement.startswith("httptools")
    assert requirement.endswith('extra == "wsgi"')
