"""The source distribution: all that git has, so it builds, and README's commands are there."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.install.command import TOP, output

BACKEND = "import sys; sys.path.insert(0, 'tools'); import backend"
# Whoever runs the tests may have no name, or sign what he commits.
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@test", "-c", "commit.gpgsign=false")


@pytest.fixture(scope="module")
def files() -> list[str]:
    """What git has, or will have with the next commit."""
    if not shutil.which("git") or not (TOP / ".git").exists():
        pytest.skip("an sdist is made by git of a repository; one of them is not here")
    listed = output("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=TOP)
    return sorted(name for name in listed.split("\0") if (TOP / name).is_file())


@pytest.fixture(scope="module")
def tree(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, unpacked."""
    repository, place = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("sdist")
    for name in files:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, repository / name)
    output("git", "init", "-q", cwd=repository)
    output("git", "add", "--force", ".", cwd=repository)
    output("git", *AUTHOR, "commit", "-q", "--message=all", cwd=repository)
    output(sys.executable, "-c", f"{BACKEND}; backend.build_sdist({str(place)!r})", cwd=repository)
    [archive] = place.iterdir()
    output("tar", "-xzf", archive.name, cwd=place)
    return place / archive.name.removesuffix(".tar.gz")


def test_it_has_what_git_has(tree: Path, files: list[str]) -> None:
    found = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert found == {*files, "PKG-INFO"}


def test_a_wheel_can_be_built_of_it(tree: Path, tmp_path: Path) -> None:
    options = {"setup-args": ["-Doptimization=0"]}
    build = f"{BACKEND}; backend.build_wheel({str(tmp_path)!r}, {options!r})"
    output(sys.executable, "-c", build, cwd=tree)
    assert [path.name for path in tmp_path.glob("fibril-*.whl")]


def test_it_has_what_the_commands_of_readme_run(tree: Path) -> None:
    targets = re.findall(
        r"^\$ make ([\w-]+)", (tree / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert {"demo", "check", "bench"} <= set(targets)
    for target in targets:
        programs = re.findall(r"[\w/]+\.py", output("make", "--dry-run", target, cwd=tree))
        assert programs
        assert [program for program in programs if not (tree / program).exists()] == []
