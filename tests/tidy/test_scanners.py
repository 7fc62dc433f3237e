"""What the scanners find in small pieces of C and Python whose measures are known."""

from __future__ import annotations

import pytest

from tests.tidy.scan_c import CSource
from tests.tidy.scan_python import PythonSource

C_TEXT = """\
/* head { */
struct point { int x; };
static const char *names[] = {"}", "a /* b */"};
__attribute__((noinline, aligned(8)))
static int
fbl_a_one(struct point *p, int (*call)(int, int), char c)
{
    if (c == '{') {
        for (;;) { /* deep */
            *p = (struct point){.x = 1};
        }
    } else {
        do { c--; } while (c);
    }

    return call(1, 2);
}
int fbl_a_two(void) { return 2; }
PyMODINIT_FUNC PyInit__core(void)
{
#define UNBALANCED {
    return 0;
}
"""


def test_c_functions_have_their_names_lines_and_measures() -> None:
    found = CSource(C_TEXT).functions
    assert [tuple(function) for function in found] == [
        ("fbl_a_one", 6, 12, 3, 2),
        ("fbl_a_two", 18, 1, 0, 0),
        ("PyInit__core", 19, 4, 0, 0),
    ]


def test_comments_inside_strings_are_none_and_braces_inside_comments_are_none() -> None:
    assert [comment.line for comment in CSource(C_TEXT).comments] == [1, 9]


def test_a_field_comment_counts_as_a_comment_line_and_as_a_code_line() -> None:
    source = CSource("int a; /* one\n          two */\nint b;\n\n")
    assert (source.comment_lines, source.code_lines) == (2, 2)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("#ifndef A\n#define A\n#endif\n", 0),
        ("#ifndef A\n#define B\n#endif\n", 1),
        ("# if A\n# elif B\n# else\n# endif\n/* #if C */\n", 2),
    ],
)
def test_conditionals_are_counted_without_the_include_guard(text: str, count: int) -> None:
    assert CSource(text).conditionals == count


PYTHON_TEXT = '''\
"""Head."""
class A:
    """Doc."""

    def f(self, a, /, b=1, *, c=2):
        """Doc
        of f."""
        # why
        if a:
            pass
        elif b:
            with c:
                pass

        def g():
            for _ in b:
                if _: pass
'''


def test_python_functions_have_their_names_lines_and_measures() -> None:
    found = PythonSource(PYTHON_TEXT).functions
    assert [tuple(function) for function in found] == [
        ("A.f", 5, 9, 2, 2),
        ("A.f.g", 15, 3, 0, 2),
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import fibril.queue", "fibril.queue"),
        ("from fibril import queue", "fibril.queue"),
        ("from . import queue", "fibril.queue"),
        ("from .monkey.saved import get", "fibril.monkey.saved"),
    ],
)
def test_imports_are_dotted_names_from_the_top(text: str, name: str) -> None:
    assert name in PythonSource(text).imports("fibril.hub", is_package=False)


def test_a_package_imports_relative_to_itself() -> None:
    found = PythonSource("from . import saved").imports("fibril.monkey", is_package=True)
    assert "fibril.monkey.saved" in found
