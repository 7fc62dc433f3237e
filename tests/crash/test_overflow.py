"""Stack overflow: endless recursion through C, in a fiber of the usual size, is only an error; in a
smaller one as well, that has room for what CPython itself does not count.

Each kind recurses in another way: Python called by C called by Python, parsers, encoders, the end
of objects. A kind that takes down CPython itself, on a thread's 8 MiB, has no place here.
"""

import sys

import pytest

from tests.conftest import Interpreter

DEEP = "nested = []\nfor _ in range(300_000): nested = [nested]\n"

# What each does must raise RecursionError or MemoryError.
ENDLESS = {
    "function": "def f(): f()\nf()",
    "partial": "f = functools.partial(lambda: f())\nf()",
    "sorted with a key": "def f(_): return sorted([1, 2], key=f)\nf(0)",
    "min in max": "def f(_): return max([1], key=lambda _: min([1], key=f))\nf(0)",
    "map": "def f(_): return list(map(f, [1]))\nf(0)",
    "reduce": "def f(*_): return functools.reduce(f, [1, 2])\nf()",
    "getattr": "class A:\n def __getattr__(self, n): return getattr(self, n + 'x')\nA().y",
    "getattribute": "class A:\n def __getattribute__(self, n): return self.x\nA().y",
    "property": "class A:\n x = property(lambda self: self.x)\nA().x",
    "descriptor": ("class D:\n def __get__(self, o, t): return o.x\nclass A:\n x = D()\nA().x"),
    "eq": "class A:\n def __eq__(self, o): return self == o\nA() == A()",
    "add": "class A:\n def __add__(self, o): return self + o\nA() + A()",
    "call": "class A:\n def __call__(self): return self()\nA()()",
    "an instance as call": "class A: pass\nA.__call__ = A()\nA()()",
    "str": "class A:\n def __str__(self): return str(self)\nstr(A())",
    "repr": "class A:\n def __repr__(self): return repr([self])\nrepr(A())",
    "format": "class A:\n def __format__(self, s): return format(self, s)\nf'{A()}'",
    "len": "class A:\n def __len__(self): return len(self)\nlen(A())",
    "contains": "class A:\n def __contains__(self, x): return x in self\n1 in A()",
    "iter": "class A:\n def __iter__(self): return iter(self)\niter(A())",
    "new": "class A:\n def __new__(cls): return cls()\nA()",
    "init": "class A:\n def __init__(self): A()\nA()",
    "metaclass": "class M(type):\n def __call__(c): return c()\nclass A(metaclass=M): pass\nA()",
    "class statement": "def f():\n class A: x = f()\nf()",
    "lru_cache": "f = functools.lru_cache(None)(lambda n: f(n + 1))\nf(0)",
    "singledispatch": "f = functools.singledispatch(lambda x: f(x))\nf(1)",
    "super": (
        "class A: pass\nclass B(A):\n def f(self): return B.f(super(B, self) and self)\nB().f()"
    ),
    "exec": "def f(): exec('f()', {'f': f})\nf()",
    "eval": "def f(): return eval('f()', {'f': f})\nf()",
    "import": (
        "import importlib.abc, importlib.util\nclass Endless(importlib.abc.Loader):\n"
        " def find_spec(self, name, path, target=None):\n"
        "  return importlib.util.spec_from_loader(name, self) if name[:3] == 'an_' else None\n"
        " def create_module(self, spec): return None\n"
        " def exec_module(self, module): __import__(module.__name__ + '_')\n"
        "sys.meta_path.insert(0, Endless())\nimport an_endless_one"
    ),
    "generator": "def f(): yield from f()\nlist(f())",
    "next": "def f(): yield next(f())\nnext(f())",
    "coroutine": "async def f(): await f()\nf().send(None)",
    "hash": "class A:\n def __hash__(self): return hash((self,))\nhash(A())",
    "bool": "class A:\n def __bool__(self): return not self\nbool(A())",
    "setattr": "class A:\n def __setattr__(self, n, v): self.x = v\nA().x = 1",
    "delattr": "class A:\n def __delattr__(self, n): del self.x\ndel A().x",
    "setitem": "class A:\n def __setitem__(self, n, v): self[n] = v\nA()[1] = 1",
    "enter": (
        "class A:\n def __enter__(self):\n  with self: pass\n"
        " def __exit__(s, *e): pass\nwith A(): pass"
    ),
    "instancecheck": (
        "class M(type):\n def __instancecheck__(c, o): return isinstance(o, c)\n"
        "class A(metaclass=M): pass\nisinstance(1, A)"
    ),
    "contextvars": ("import contextvars\ndef f(): contextvars.copy_context().run(f)\nf()"),
    "json encoder": DEEP + "json.dumps(nested)",
    "json default": "def f(o): return json.dumps(o, default=f)\njson.dumps(object(), default=f)",
    "json decoder": "json.loads('[' * 100_000)",
    "json decoder of objects": "json.loads('{\"a\":' * 100_000)",
    "pickle": DEEP + "pickle.dumps(nested)",
    "deepcopy": DEEP + "copy.deepcopy(nested)",
    "nested repr": DEEP + "repr(nested)",
    "nested comparison": DEEP
    + "other = []\nfor _ in range(300_000): other = [other]\nnested == other",
    "isinstance": "t = (int,)\nfor _ in range(600_000): t = (t,)\nisinstance('', t)",
    "regular expression": "re.compile('(' * 100_000)",
    "compile not": "compile('not ' * 100_000 + '1', 'x', 'eval')",
    "compile minus": "compile('-' * 100_000 + '1', 'x', 'eval')",
    "compile power": "compile('1' + '**1' * 100_000, 'x', 'eval')",
    "compile subscripts": "compile('a' + '[1]' * 100_000, 'x', 'eval')",
    "compile ternary": "compile('1 if 1 else ' * 100_000 + '1', 'x', 'eval')",
    "compile lambda": "compile('lambda: ' * 100_000 + '1', 'x', 'eval')",
    "compile attributes": "compile('a' + '.b' * 100_000, 'x', 'eval')",
    "compile calls": "compile('f' + '()' * 100_000, 'x', 'eval')",
    "compile sum": "compile('1' + '+1' * 100_000, 'x', 'eval')",
    "fiber in fiber": (
        "def f(levels):\n if not levels: raise RecursionError\n"
        " return Fiber(f).switch(levels - 1)\nf(3000)"
    ),
}

# What each does must simply work, however deep.
PARSE_AND_DUMP = (
    "import ast\ndepth = {}\nast.literal_eval('[' * depth + ']' * depth)\n"
    "tree = ast.parse('(1,' * depth + ')' * depth)\nast.dump(tree)\nast.unparse(tree)"
)

HARMLESS = {
    "drop a deep list": DEEP + "del nested",
    "drop a deep tuple": "t = ()\nfor _ in range(100_000): t = (t,)\ndel t",
    "drop a deep dict": "d = {}\nfor _ in range(100_000): d = {1: d}\ndel d",
    "hash and compare what is deep": (
        "t = u = ()\nfor _ in range(900): t = (t,); u = (u,)\nhash(t)\n"
        "try: t == u\nexcept RecursionError: pass"
    ),
    "drop a line of objects": (
        "class A: pass\na = None\nfor _ in range(100_000): b = A(); b.a = a; a = b\ndel a, b"
    ),
    "drop a line of slots": (
        "class A: __slots__ = 'a'\na = None\nfor _ in range(100_000): b = A(); b.a = a; a = b\n"
        "del a, b"
    ),
    "drop a line of closures": (
        "def wrap(f): return lambda: f\nf = None\nfor _ in range(100_000): f = wrap(f)\ndel f"
    ),
    "drop a line of exceptions": (
        "e = None\nfor _ in range(100_000): f = ValueError(); f.__context__ = e; e = f\ndel e, f"
    ),
    "drop a line of destructors": (
        "class A:\n def __init__(self, n): self.n = n\n"
        " def __del__(self): self.n and A(self.n - 1)\nA(100_000)"
    ),
    "drop a line of fibers": (
        "f = None\nfor _ in range(50_000): g = Fiber(len); g.f = f; f = g\ndel f, g"
    ),
    "drop a line of tasks": "t = None\nfor _ in range(50_000): t = fibril.Task(len, t)\ndel t",
    "collect a deep list": (
        "import gc\nfirst = nested = []\nfor _ in range(100_000): nested = [nested]\n"
        "first.append(nested)\ndel first, nested\ngc.collect()"
    ),
    "format a deep traceback": (
        "import traceback\ndef f(n):\n try: f(n - 1) if n else 1 / 0\n"
        " except Exception as e: raise KeyError from e\n"
        "try: f(200)\nexcept KeyError as e: len(traceback.format_exception(e))"
    ),
    "compile brackets": (
        "pairs = ['()', '[]', ('{1:', '}'), ('f(', ')'), ('-(', ')'), ('x[', ']')]\n"
        "pairs += [('not (', ')'), ('lambda: (', ')'), ('(1 if ', ' else 2)'), ('{**', '}')]\n"
        "pairs += [('(x:=', ')'), ('*(', ')')]\n"
        "for depth in (50, 90, 150, 199, 200, 1000):\n"
        " for left, right in pairs:\n"
        "  try: compile(left * depth + '1' + right * depth, 'x', 'eval')\n"
        "  except (SyntaxError, RecursionError, MemoryError): pass"
    ),
    "compile blocks": (
        "for word in ('if 1:', 'for x in y:', 'while 1:', 'with x:', 'def f():', 'class C:'):\n"
        " for depth in (19, 20, 99):\n"
        "  text = ''.join(' ' * n + word + '\\n' for n in range(depth)) + ' ' * depth + 'pass'\n"
        "  try: compile(text, 'x', 'exec')\n"
        "  except (SyntaxError, RecursionError, MemoryError): pass"
    ),
    "parse and dump": PARSE_AND_DUMP.format(50),
    "regular expressions": (
        "for depth in (50, 99):\n re.compile('(' * depth + ')' * depth)\n"
        "re.match('(?:a|b)*?c', 'ab' * 100_000)\nre.match('((a)|b)*c', 'ab' * 50_000)"
    ),
}

if sys.version_info >= (3, 13):
    # CPython itself, on a thread too: its trashcan begins when C recursion is nearly used up, and
    # destructors in Python reach the limit of theirs before that.
    del HARMLESS["drop a line of destructors"]

# For C code that CPython calls, 64 KiB: what it does not count. For its own parser more, before
# 3.14, which does not ask how much there is.
SMALL_KIB = {(3, 11): 3072, (3, 12): 1024, (3, 13): 1024}.get(sys.version_info[:2], 256)

PROGRAM = """
    import copy, functools, json, pickle, re, sys, fibril
    from fibril import Fiber

    def work():
{body}
        return "no error"

    def guarded():
        try:
            return work()
        except (RecursionError, MemoryError) as error:
            return "error"

    def deeper(levels):
        return deeper(levels - 1) if levels else guarded()

    print(Fiber(guarded).switch())
    print(fibril.spawn(guarded).get())
    print(Fiber(deeper).switch(100))
    print(Fiber(lambda: Fiber(guarded).switch()).switch())
    try:
        print(Fiber(work).switch())
    except (RecursionError, MemoryError):
        print("error")
    print(Fiber(guarded, stack_size={small}).switch())
    print(Fiber(lambda: "alive").switch())
"""


def program(body: str) -> str:
    indented = "\n".join(" " * 8 + line for line in body.split("\n"))
    return PROGRAM.replace("{body}", indented).replace("{small}", str(SMALL_KIB << 10))


@pytest.mark.parametrize("kind", ENDLESS)
def test_endless_recursion_is_an_error_and_no_crash(kind: str, interpreter: Interpreter) -> None:
    assert interpreter.out(program(ENDLESS[kind])) == "error\n" * 6 + "alive\n"


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_deep_but_finite_works(kind: str, interpreter: Interpreter) -> None:
    assert interpreter.out(program(HARMLESS[kind])) == "no error\n" * 6 + "alive\n"


def test_what_only_a_large_stack_has_room_to_parse_is_an_error_in_a_small_one(
    interpreter: Interpreter,
) -> None:
    """From 3.14 on the parser asks for the room that is left; before, there must be enough."""
    out = interpreter.out(program(PARSE_AND_DUMP.format(150)))
    answer = "no error" if sys.version_info < (3, 14) else "error"
    assert out == "no error\n" * 5 + f"{answer}\nalive\n"


def test_a_thousand_parked_fibers_do_not_use_up_the_recursion_of_c(
    interpreter: Interpreter,
) -> None:
    """3.12 and 3.13 count C recursion for the thread: each fiber must have its own count."""
    out = interpreter.out("""
        import functools, fibril
        main = fibril.getcurrent()
        def work():
            sorted([1], key=lambda _: functools.partial(main.switch)())
            json = __import__("json")
            return json.dumps([[[1]]])
        fibers = [fibril.Fiber(work) for _ in range(3000)]
        for fiber in fibers:
            fiber.switch()
        print({fiber.switch() for fiber in fibers})
    """)
    assert out == "{'[[[1]]]'}\n"


def test_after_a_fiber_the_thread_has_all_of_its_own_stack_again(interpreter: Interpreter) -> None:
    """From 3.14 on the bounds of the stack are swapped with it; before, what is left to count."""
    out = interpreter.out("""
        import functools, sys, fibril
        if sys.version_info >= (3, 12):
            sys.setrecursionlimit(1_000_000)  # only the recursion of C is limited
        main = fibril.getcurrent()

        def depth():
            levels = 0
            def deeper():
                nonlocal levels
                levels += 1
                functools.partial(deeper)()
            try:
                deeper()
            except RecursionError:
                return levels

        depth()  # the first time, not yet specialised, needs a little more stack: plain Python too
        before = depth()
        fiber = fibril.Fiber(lambda: (depth(), main.switch(), depth()))
        for _ in range(2):
            fiber.switch()
            print(depth() == before)
        fibril.spawn(depth).join()
        print(depth() == before)
    """)
    assert out == "True\nTrue\nTrue\n"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="C recursion has a limit of its own there")
def test_with_a_higher_limit_python_recursion_alone_needs_no_stack(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import sys, fibril
        def recurse(levels):
            return 0 if levels == 0 else 1 + recurse(levels - 1)
        sys.setrecursionlimit(200_000)
        print(fibril.Fiber(recurse).switch(100_000))
    """)
    assert out == "100000\n"
