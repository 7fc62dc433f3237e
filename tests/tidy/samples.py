"""samples.py: for each rule, a small tree that breaks it and one that keeps it.

A check that cannot fail is worthless: test_tidy.py runs every rule on both.
"""

from __future__ import annotations

from typing import NamedTuple

Files = dict[str, str]


class Sample(NamedTuple):
    bad: Files
    good: Files
    line: int = 1  # where the bad one is broken


HEAD = "/*\n * a.c: one.\n * two\n * three\n */\n"
FIFTY = "    f();\n" * 57


def c_function(signature: str, body: str) -> str:
    return f"{HEAD}{signature}\n{{\n{body}}}\n"


def density(comments: int) -> str:
    return "int x; /* why */\n" * comments + "int x;\n" * (100 - comments)


def method(docstring: str, class_docstring: str = "A queue.") -> str:
    return (
        f'__all__ = ["Queue"]\n\n\nclass Queue:\n    """{class_docstring}"""\n\n'
        f'    def get(self):\n        """{docstring}"""\n'
    )


HOME = "https://github.com/us/fibril"
PROJECT = f'[project]\nname = "fibril"\nurls = {{ Repository = "{HOME}" }}\n'
SUPPORTED = {
    "src/fibril/_supported.py": '_OLDEST, _NEWEST = (3, 8), (3, 9)\n_MACHINES = ("vax", "cray")\n',
    "pyproject.toml": "".join(f'"Programming Language :: Python :: 3.{n}",\n' for n in (8, 9)),
    "csrc/python/interpreter/state.h": '"a/state_3_8.h" "a/state_3_9.h"\n"CPython 3.8 to 3.9"\n',
    "src/fibril/_core.pyi": 'Literal["3.8", "3.9"]\n',
    ".github/workflows/checks.yml": 'python: ["3.8", "3.9"]\n',
    "README.md": "CPython 3.8 to 3.9\n" * 2,
    "CONTRIBUTING.md": "CPython 3.8 to 3.9\n",
    "meson.build": "'linux vax': 1,\n'linux cray': 2,\n",
}


SAID = "Take one.\n\n        Switches: if it must wait. Threads: any.\n        "

SAMPLES = {
    "file_is_long": Sample({"src/fibril/a.py": "\n" * 700}, {"src/fibril/a.py": "\n" * 699}),
    "poller_is_long": Sample(
        {"csrc/core/poll/epoll.c": "\n" * 300},
        {"csrc/core/poll/epoll.c": "\n" * 299, "csrc/core/hub.c": "\n" * 600},
    ),
    "function_is_long": Sample(
        {"csrc/a.c": c_function("int f(void)", FIFTY)},
        {"csrc/a.c": c_function("int f(void)", FIFTY[:-9] + "\n/* why */\n")},
        line=6,
    ),
    "function_takes_much": Sample(
        {"a.py": "class A:\n    def f(self, a, b, c, d, e, f): ...\n"},
        {"a.py": "class A:\n    def f(self, a, b, c, d, e, *, f): ...\n"},
        line=2,
    ),
    "function_nests_deeply": Sample(
        {"a.py": "def f():\n for a in b:\n  if a:\n   with a:\n    if b:\n     pass\n"},
        {"a.py": "def f():\n for a in b:\n  if a:\n   pass\n  elif b:\n   with a:\n    pass\n"},
    ),
    "file_has_many_conditionals": Sample(
        {"csrc/a.c": "#if A\n#elif B\n#endif\n#ifdef C\n#endif\n" * 2},
        {
            "csrc/a.h": "#ifndef A_H\n#define A_H\n" + "#if A\n#endif\n" * 5 + "#endif\n",
            "csrc/core/poller.h": "#if A\n#endif\n" * 9,
        },
    ),
    "line_is_wide": Sample(
        {"csrc/a.c": "\n" + "x" * 101}, {"csrc/a.c": "x" * 100, "README.md": "x" * 200}, line=2
    ),
    "room_is_large": Sample(
        {"csrc/core/stack/a.c": "int x;\n" * 600},
        {
            "csrc/core/switch/a.c": "int x;\n" * 400 + "/* why */\n" * 300,
            "csrc/core/switch/b_1.h": "int x;\n" * 200,
            "csrc/core/switch/c_1.h": "int x;\n" * 198,
            "src/fibril/a.py": "x = 1\n" * 4999,
            "tests/unit/a.py": "x = 1\n" * 9999,
        },
    ),
    "name_says_nothing": Sample(
        {"tests/unit/queue_helpers.py": ""}, {"tests/unit/baseline.py": "", "csrc/a.c": ""}
    ),
    "work_is_unfinished": Sample(
        {"csrc/a.c": "\n/* FIXME: later */\n"}, {"csrc/a.c": "/* TODO(#12): later */\n"}, line=2
    ),
    "c_head_is_missing": Sample(
        {"csrc/a.c": "\n" + HEAD}, {"csrc/a.c": HEAD, "tests/core/test_a.c": "/* One line. */\n"}
    ),
    "module_docstring_is_missing": Sample(
        {"src/fibril/a.py": "import os\n"},
        {"src/fibril/a.py": '"""One."""\n', "src/fibril/b.py": ""},
    ),
    "comments_are_sparse": Sample(
        {"csrc/a.c": density(24)},
        {"csrc/a.c": density(50), "csrc/b.c": density(10)},
    ),
    "comments_are_dense": Sample({"csrc/a.c": density(61)}, {"csrc/a.c": density(60)}),
    "core_knows_python": Sample(
        {"csrc/core/hub.c": "\n#include <Python.h> /* why */\n"},
        {"csrc/python/a.c": "#include <Python.h>\n", "csrc/core/hub.c": "// #include <Python.h>\n"},
        line=2,
    ),
    "version_is_tested": Sample(
        {"csrc/python/a.c": "\n#if PY_VERSION_HEX > 1\n#endif\n"},
        {
            "csrc/python/interpreter/state_3_11.h": "#if PY_VERSION_HEX > 1\n",
            "csrc/a.c": "/* PY_VERSION_HEX */",
        },
        line=2,
    ),
    "call_is_banned": Sample(
        {"tests/core/a.c": "void f(void)\n{\n    strcpy(a, b);\n}\n"},
        {
            "csrc/a.c": 'memcpy(a, "strcpy(a)", 1); x->signal(1);\n',
            "tests/core/a.c": 'printf("");\n',
        },
        line=3,
    ),
    "danger_is_not_explained": Sample(
        {"csrc/python/a.c": "/* SAFE: not this one */\n\ntstate->exc_info = NULL;\n"},
        {"csrc/python/a.c": "/* SAFE: ours */\nx();\ntstate->depth++;\n\nif (tstate->a == b) {}\n"},
        line=3,
    ),
    "gil_is_lost": Sample(
        {"csrc/python/a.c": "Py_BEGIN_ALLOW_THREADS\nx();\nreturn 1;\nPy_END_ALLOW_THREADS\n"},
        {"csrc/python/a.c": "Py_BEGIN_ALLOW_THREADS\nx();\nPy_END_ALLOW_THREADS\nreturn 1;\n"},
        line=3,
    ),
    "c_file_is_dead": Sample(
        {"csrc/fibril.c": '#include "a.h"\n', "csrc/a.h": "", "csrc/b.c": ""},
        {
            "csrc/fibril.c": '#include "python/a.h"\n',
            "csrc/python/a.h": '#include "b.h"\n',
            "csrc/python/b.h": '#include "core/list.h" /* why */\n',
            "csrc/core/list.h": "",
            "csrc/core/switch/x.S": "",
            "meson.build": "'x.S'",
        },
    ),
    "arrow_climbs": Sample(
        {
            "csrc/python/fiber/a.c": "int f(void)\n{\n    return hub_f();\n}\n",
            "csrc/python/hub/b.c": "int hub_f(void)\n{\n    return 1;\n}\n",
        },
        {
            "csrc/python/fiber/a.c": "int f(void)\n{\n    hub_get();\n    fbl_embed_run();\n}\n",
            "csrc/python/hub/b.c": '#include "core/list.h"\nint hub_get(void)\n{\n    f();\n}\n',
            "csrc/python/embed.c": "int fbl_embed_run(void)\n{\n    return 1;\n}\n",
            "csrc/core/list.h": "int fbl_embed_run(void);\n",
        },
        line=3,
    ),
    "file_has_no_storey": Sample(
        {"csrc/python/attic/a.c": HEAD}, {"csrc/a.c": HEAD, "tests/core/b.c": HEAD}
    ),
    "switch_is_not_said": Sample(
        {
            "csrc/core/a.c": "int f(void)\n{\n    return g();\n}\n\nint g(void)\n{\n"
            "    return h_wait();\n}\nint h_wait(void)\n{\n    return 1;\n}\n",
        },
        {
            "csrc/core/a.c": "int only_python(void)\n{\n    return g_switch();\n}\n\n"
            "int g_switch(void)\n{\n    return h_wait();\n}\n"
            "int h_wait(void)\n{\n    return unlisted_wait();\n}\n",
        },
        line=6,
    ),
    "import_climbs": Sample(
        {"src/fibril/_hub/a.py": '"""A."""\nfrom fibril.hub import Hub\n', "src/fibril/hub.py": ""},
        {
            "src/fibril/_hub/a.py": "from fibril import _core\nfrom fibril.lock import RLock\n"
            "if TYPE_CHECKING:\n    from fibril.hub import Hub\n"
            "def f():\n    import fibril.monkey\n",
            "src/fibril/hub.py": "from fibril._hub.a import f\n",
        },
        line=2,
    ),
    "link_is_relative": Sample(
        {"README.md": "[a](https://a.example)\n[b](docs/b.md)\n"},
        {"README.md": "[a](https://a.example), [b](#b)\n", "DESIGN.md": "[b](docs/b.md)\n"},
        line=2,
    ),
    "address_leads_nowhere": Sample(
        {"pyproject.toml": PROJECT, "README.md": f"{HOME}\n{HOME}/blob/main/DESIGN.md\n"},
        {
            "pyproject.toml": PROJECT,
            "README.md": f"[a]({HOME}/blob/main/a/b.md) [b]({HOME}/tree/main/a) [c]({HOME}/issues)",
            "a/b.md": "https://github.com/others/theirs/blob/main/DESIGN.md",
        },
        line=2,
    ),
    "supported_is_named_differently": Sample(
        SUPPORTED | {"README.md": "CPython 3.8 to 3.9\nCPython 3.8 to 3.10\n"}, SUPPORTED, line=2
    ),
    "encoding_is_unspecified": Sample(
        {"a.py": 'gate.open()\npath.write_text("x")\n'},
        {
            "a.py": 'path.write_text("x", encoding="utf-8")\nopen(path, "rb")\ngate.open()\n',
            "b.py": 'path.open("wb")\nos.open("/dev/null", os.O_RDONLY)\nTemporaryFile()\n',
        },
        line=2,
    ),
    "public_name_is_undocumented": Sample(
        {"src/fibril/a.py": '"""One."""\n\n\ndef spawn(): ...\n'},
        {
            "src/fibril/a.py": "def _spawn(): ...\n",
            "src/fibril/b.py": '__all__ = ["x"]\ndef spawn(): ...\n',
            "src/fibril/compat/c.py": "def spawn(): ...\n",
        },
        line=4,
    ),
    "switching_is_not_stated": Sample(
        {"src/fibril/a.py": method("Take one.\n\n        Switches: sometimes. Threads: any.")},
        {
            "src/fibril/a.py": method(SAID),
            "src/fibril/b.py": method("Take one.", "Switches: never. Threads: owner."),
        },
        line=7,
    ),
    "module_is_dead": Sample(
        {
            "src/fibril/__init__.py": "from fibril import a\n",
            "src/fibril/a.py": "",
            "src/fibril/b.py": "",
        },
        {
            "src/fibril/__init__.py": "from .a import x\n",
            "src/fibril/a.py": "from .monkey import saved\n",
            "src/fibril/monkey/__init__.py": 'TABLE = ["fibril.monkey.thread_3_13"]\n',
            "src/fibril/monkey/saved.py": "",
            "src/fibril/monkey/thread_3_13.py": "",
        },
    ),
}
