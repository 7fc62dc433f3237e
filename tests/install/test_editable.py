"""An editable install: src/ on the path, with the extension in it, and nothing to run at import."""

import shutil
import sys
from importlib.metadata import version

import pytest

from tests.install.command import TOP, output

BUILD = """
import sys
sys.path.insert(0, "tools")
import backend
options = {"setup-args": ["-Doptimization=0", "-Db_ndebug=false"]}
print(backend.build_editable(sys.argv[1], options))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A source tree of its own: the build writes into it."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("csrc", "src", "tools"):
        leftovers = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(TOP / name, folder / name, ignore=leftovers)
    for name in ("meson.build", "meson.options", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(TOP / name, folder)
    return folder


def python(site, program, cwd):
    """A line of a fresh interpreter that sees no other fibril."""
    program = f"import site; site.addsitedir({str(site)!r}); {program}"
    return output(sys.executable, "-I", "-S", "-c", program, cwd=cwd).strip()


def test_edited_files_are_seen_and_nothing_is_built_at_import(tree, tmp_path):
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    said = output(sys.executable, "-c", BUILD, str(wheels), cwd=tree)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    output(*pip, "--target", str(site), str(wheels / said.split()[-1]), cwd=tmp_path)

    program = "import fibril; print(fibril.spawn(lambda: 6 * 7).get(), fibril.__file__)"
    assert python(site, program, tmp_path) == f"42 {tree}/src/fibril/__init__.py"
    (tree / "src" / "fibril" / "edited.py").write_text("answer = 43\n", encoding="utf-8")
    program = "from fibril.edited import answer; print(answer)"
    assert python(site, program, tmp_path) == "43"
    names = {path.name for path in site.iterdir()}
    assert names == {"bin", "fibril.pth", f"fibril-{version('fibril')}.dist-info"}
