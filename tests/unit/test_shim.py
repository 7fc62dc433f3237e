"""`fibril shim`: a folder on PYTHONPATH puts fibril under a program, and harms nothing in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fibril
from fibril import compat
from fibril.compat import shim
from tests.conftest import LIMIT_S, PACKAGE_PARENT, Finished, Interpreter

HERE = {"PYTHONPATH": PACKAGE_PARENT}


def command(*arguments: str, **env: str) -> Finished:
    done = subprocess.run(
        [sys.executable, "-m", "fibril", "shim", *arguments],
        env={**os.environ, **HERE, **env},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the shim goes: not there yet."""
    return tmp_path / "some folder" / "shims"


def path(*folders: Path) -> str:
    return os.pathsep.join([*map(str, folders), PACKAGE_PARENT])


def test_a_program_and_its_children_get_fibril(folder: Path, interpreter: Interpreter) -> None:
    done = command(str(folder))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{folder}: gevent 26.9.0, greenlet 3.5.6. ")
    text = """
        import subprocess, sys, gevent, greenlet, fibril
        import gevent.queue
        from gevent import monkey
        from greenlet import greenlet as Greenlet
        assert Greenlet is fibril.Fiber and gevent.spawn is fibril.spawn
        assert gevent.queue is sys.modules["gevent.queue"]
        assert gevent.queue.Queue is fibril.queue.Queue
        assert sys.modules["gevent"] is gevent and gevent.__spec__.name == "gevent"
        assert "compat" in gevent.__file__ and "compat" in greenlet.__file__
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, __file__, "child"], check=True)
        print(gevent.spawn(len, "abc").get(), flush=True)
        """
    assert interpreter.out(text, PYTHONPATH=path(folder)) == "3\n3\n"


def test_importing_fibril_first_and_installing_as_well_are_fine(
    folder: Path, interpreter: Interpreter
) -> None:
    shim.write(str(folder))
    text = """
        import fibril
        from fibril import compat
        import greenlet
        compat.install()
        import gevent, gevent.event
        assert gevent.Greenlet is fibril.Task and greenlet.greenlet is fibril.Fiber
        import importlib
        assert importlib.reload(greenlet) is greenlet
        """
    assert interpreter.out(text, PYTHONPATH=path(folder)) == ""


def test_metadata_answer_what_is_installed(folder: Path, interpreter: Interpreter) -> None:
    shim.write(str(folder))
    text = """
        from importlib import metadata
        for name, version in (("greenlet", "3.5.6"), ("gevent", "26.9.0")):
            found = metadata.distribution(name)
            assert found.version == version == __import__(name).__version__
            assert found.metadata["Name"] == name and found.requires == ["fibril"]
            assert name in metadata.packages_distributions()
            for file in found.files:
                assert file.locate().exists(), file
                assert file.hash is None or file.size == file.locate().stat().st_size
        """
    assert interpreter.out(text, PYTHONPATH=path(folder)) == ""


def test_pip_counts_them_as_installed(folder: Path, tmp_path: Path) -> None:
    shim.write(str(folder))
    for wanted, status in (("greenlet>=3.2.2", 0), ("gevent>=25", 0), ("greenlet>=4", 1)):
        info = tmp_path / f"{status}{wanted}" / "needy-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: needy\nVersion: 1\nRequires-Dist: {wanted}\n",
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"],
            env={**os.environ, "PYTHONPATH": path(folder, info.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "needy 1" in done.stdout) == (status, status == 1), done.stdout


def test_only_one_of_them_is_written(folder: Path, interpreter: Interpreter) -> None:
    site = folder.parent / "site"
    (site / "gevent").mkdir(parents=True)
    (site / "gevent" / "__init__.py").write_text("import greenlet\n", encoding="utf-8")
    for options in (("--only", "greenlet"), ("--only=greenlet",)):
        assert command(*options, str(folder)).status == 0
        assert sorted(p.name for p in folder.iterdir()) == ["greenlet", "greenlet-3.5.6.dist-info"]
    text = """
        import gevent, fibril, sys
        assert gevent.greenlet.greenlet is fibril.Fiber and "site" in gevent.__file__
        try:
            import gevent.queue
        except ModuleNotFoundError as error:
            assert str(error) == "No module named 'gevent.queue'"
        """
    assert interpreter.out(text, PYTHONPATH=path(folder, site)) == ""


def test_writing_again_changes_nothing(folder: Path) -> None:
    shim.write(str(folder))
    before = contents(folder)
    stamps = [p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))]
    assert shim.write(str(folder)) == ["gevent 26.9.0", "greenlet 3.5.6"]
    assert contents(folder) == before
    assert [p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))] == stamps


def test_what_is_not_asked_for_any_more_goes_away(folder: Path) -> None:
    shim.write(str(folder))
    stale = folder / "greenlet-1.0.dist-info"
    (folder / "greenlet-3.5.6.dist-info").rename(stale)
    (folder / "notes.txt").write_text("the user's", encoding="utf-8")
    shim.write(str(folder), ["greenlet"])
    assert sorted(p.name for p in folder.iterdir()) == [
        "greenlet",
        "greenlet-3.5.6.dist-info",
        "notes.txt",
    ]


def test_a_damaged_file_is_written_anew(folder: Path) -> None:
    shim.write(str(folder))
    before = contents(folder)
    (folder / "greenlet" / "greenlet.h").write_text("", encoding="utf-8")
    (folder / "greenlet-3.5.6.dist-info" / "RECORD").unlink()
    shim.write(str(folder))
    assert contents(folder) == before


@pytest.mark.parametrize(
    "foreign",
    [
        "greenlet/__init__.py",
        "greenlet/something.py",
        "greenlet.py",
        "gevent.cpython-311-x86_64-linux-gnu.so",
        "greenlet-3.5.6.dist-info/METADATA",
        "gevent-24.1.egg-info/PKG-INFO",
    ],
)
def test_what_others_wrote_is_never_touched(folder: Path, foreign: str) -> None:
    (folder / foreign).parent.mkdir(parents=True)
    (folder / foreign).write_text("foreign", encoding="utf-8")
    done = command(str(folder))
    assert (done.status, done.out) == (1, "")
    assert foreign.split("/")[0] in done.err
    assert "`fibril shim` did not write" in done.err
    assert contents(folder) == {foreign: b"foreign"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in ("file", "file/below"):
        done = command(str(tmp_path / place))
        assert done.status == 1
        assert "not a folder" in done.err.lower() or "Not a directory" in done.err


def test_a_folder_that_cannot_be_written_is_named() -> None:
    done = command("/proc/self/shims")
    assert done.status == 1
    assert done.err.startswith("fibril: cannot write '/proc/self/shims")
    assert "Give a folder that you may write to" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`fibril shim` writes into one folder; 0 are given."),
        (["a", "b"], "`fibril shim` writes into one folder; 2 are given."),
        ([""], "`fibril shim` writes into one folder; 1 are given."),
        (["--only"], "--only takes eventlet, gevent or greenlet, not ''."),
        (["a", "--only", "eventle"], "--only takes eventlet, gevent or greenlet, not 'eventle'."),
        (["--all", "a"], "`fibril shim` has no option '--all'."),
    ],
)
def test_what_cannot_be_understood_is_said(arguments: list[str], message: str) -> None:
    done = command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"fibril: {message}")


def test_help_is_given() -> None:
    for option in ("--help", "-h"):
        done = command(option)
        assert (done.status, done.err) == (0, "")
        assert "fibril shim [--eventlet] [--only eventlet|gevent|greenlet] FOLDER" in done.out
        assert "PYTHONPATH=shims python program.py" in done.out


def test_without_fibril_it_says_what_is_missing(folder: Path, interpreter: Interpreter) -> None:
    shim.write(str(folder))
    # -S: no site-packages, so no fibril, wherever it is installed.
    done = interpreter.run("import greenlet", "-S", PYTHONPATH=str(folder))
    assert done.status == 1
    last = done.err.strip().splitlines()[-1]
    assert "cannot serve 'greenlet' by fibril: No module named 'fibril'." in last
    assert str(folder) in last
    assert sys.executable in last


def test_only_the_three_names_can_be_taken_over() -> None:
    with pytest.raises(ValueError, match="fibril serves eventlet, gevent and greenlet"):
        compat.take_over("tornado")


def test_when_fibril_s_package_fails_to_import_the_error_is_seen(
    folder: Path, interpreter: Interpreter
) -> None:
    shim.write(str(folder))
    text = """
        import sys
        from fibril import _core
        del _core.greenlet_api
        for _ in range(2):
            try:
                import greenlet
            except ImportError as error:
                print(type(error).__name__, "greenlet_api" in str(error), "greenlet" in sys.modules)
        """
    out = interpreter.out(text, PYTHONPATH=path(folder))
    assert out == "ImportError True False\n" * 2


def test_the_header_lies_beside_each_package(folder: Path) -> None:
    shim.write(str(folder))
    served = Path(compat.get_include(), "greenlet", "greenlet.h")
    assert (folder / "greenlet" / "greenlet.h").read_bytes() == served.read_bytes()
    assert served.parent.parent == Path(fibril.__file__).parent / "compat"


# ---- beside the real ones, and where no variable reaches ----


def real(folder: Path, *names: str) -> Path:
    """A folder with packages of that name, as if the real ones were installed there."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("import greenlet\n", encoding="utf-8")
    if "greenlet" in names:
        (folder / "greenlet" / "__init__.py").write_text("class greenlet: pass\n", encoding="utf-8")
    return folder


WHOSE = """
import gevent, greenlet
print(*("ours" if hasattr(each, "__fibril_version__") else "real" for each in (gevent, greenlet)))
"""


@pytest.mark.parametrize(("is_first", "answer"), [(True, "ours ours"), (False, "real real")])
def test_what_comes_first_on_the_path_wins_whole(
    folder: Path, interpreter: Interpreter, is_first: bool, answer: str
) -> None:
    shim.write(str(folder))
    site = real(folder.parent / "site", "gevent", "greenlet")
    order = (folder, site) if is_first else (site, folder)
    assert interpreter.out(WHOSE, PYTHONPATH=path(*order)) == f"{answer}\n"


def test_a_second_greenlet_is_refused(folder: Path, interpreter: Interpreter) -> None:
    shim.write(str(folder), ["gevent"])
    site = real(folder.parent / "site", "greenlet")
    done = interpreter.run("import greenlet\nimport gevent\n", PYTHONPATH=path(folder, site))
    assert done.status == 1
    last = done.err.splitlines()[-1]
    assert "cannot serve gevent and greenlet by fibril: the real greenlet is imported al" in last
    assert str(site) in last
    # The other way round there is none: with gevent greenlet is fibril's, too.
    assert interpreter.out(WHOSE, PYTHONPATH=path(folder, site)) == "ours ours\n"


def test_what_an_uninstall_has_left_over_is_no_package(
    folder: Path, interpreter: Interpreter
) -> None:
    shim.write(str(folder))
    for name in ("gevent", "greenlet"):
        (folder.parent / "site" / name / "__pycache__").mkdir(parents=True)
    order = path(folder.parent / "site", folder)
    assert interpreter.out(WHOSE, PYTHONPATH=order) == "ours ours\n"


def test_programs_in_archives_get_them(folder: Path, interpreter: Interpreter) -> None:
    shim.write(str(folder))
    archive = folder.parent / "app.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__main__.py", WHOSE)
    text = f"""
        import subprocess, sys
        subprocess.run([sys.executable, {str(archive)!r}], check=True)
        """
    assert interpreter.out(text, PYTHONPATH=path(folder)) == "ours ours\n"


OTHER = """
import sys
sys.path[:] = {path}
try:
    import gevent
    print(gevent.spawn(len, "abc").get(), flush=True)
except ImportError as error:
    print(error, flush=True)
"""


def test_another_interpreter_of_the_process_is_told_that_there_is_none(
    folder: Path, interpreter: Interpreter
) -> None:
    shim.write(str(folder))
    text = f"""
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        one = interpreters.create()
        interpreters.run_string(one, {OTHER!r}.format(path=sys.path))
        interpreters.destroy(one)
        import gevent
        print(gevent.spawn(len, "abcd").get())
        """
    first, last = interpreter.out(text, PYTHONPATH=path(folder)).splitlines()
    # CPython's words where an interpreter is isolated, as it is from 3.12 on, else ours.
    assert "in a sub-interpreter" in first or "does not support loading in subinterpreters" in first
    assert last == "4"


class Site:
    """An environment with fibril and, as it seems, the real gevent and greenlet."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        self.packages = Path(self.out("import sysconfig; print(sysconfig.get_path('purelib'))"))
        (self.packages / "fibril").symlink_to(Path(PACKAGE_PARENT, "fibril"))
        real(self.packages, "gevent", "greenlet")

    def out(self, program: str, *options: str) -> str:
        return self.run(*options, "-c", program)

    def run(self, *arguments: str) -> str:
        """What that Python prints, started by somebody who has set no variable."""
        environ = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
        done = subprocess.run(
            [self.python, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()


def test_a_python_can_be_told_once_for_all_its_programs(tmp_path: Path) -> None:
    site = Site(tmp_path / "venv")
    assert site.out(WHOSE) == "real real"
    said = site.run("-m", "fibril", "shim", "--site")
    assert said.startswith(f"Each program of {site.python} gets gevent and greenlet by fibril.\n")
    child = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', sys.argv[1]])"
    for options in ((), ("-I",), ("-E",), ("-s", "-P")):
        assert site.out(WHOSE, *options) == "ours ours", options
        assert site.run(*options, "-c", child, WHOSE) == "ours ours", options
    light = "import sys; print(any(name.split('.')[0] == 'fibril' for name in sys.modules))"
    assert site.out(light) == "False"
    version = "from importlib import metadata; print(metadata.version('gevent'))"
    assert site.out(version) == "26.9.0"
    for name in said.rpartition(" rm ")[2].split():
        Path(name).unlink()
    assert site.out(WHOSE) == "real real"


def test_a_python_that_cannot_be_told_says_so(tmp_path: Path) -> None:
    with pytest.raises(shim.ShimError, match="Use an environment of your own"):
        shim.write_start(str(tmp_path / "nothing" / "site-packages"))
    done = command("--site", "folder")
    assert (done.status, done.out) == (2, "")
    assert "--site goes with no folder and no other option." in done.err
